"""Every mutant, by what it is a mutant of."""

from __future__ import annotations

from typing import Final

from . import attacked, identities, leases, managers, policies, pools, starting, stopping, waiting
from .mutant import CoordinatorMutant, IdentityMutant, ManagerMutant, Mutant

__all__ = ["COORDINATORS", "IDENTITIES", "MANAGERS", "MUTANTS"]

COORDINATORS: Final = (
    CoordinatorMutant("limit ignored", "D1", pools.LimitIgnored, "api-wait", "live_instances_within_limit"),
    CoordinatorMutant("new before old", "D8/S3", pools.NewBeforeOld, "slot-wait", "one_live_instance_per_slot"),
    CoordinatorMutant("lost wake-up", "D6", starting.LostWakeUp, "api-wait", "work_conservation"),
    CoordinatorMutant("leaked slot", "D12", waiting.LeakedSlot, "api-wait", "ended_requests_leave_no_state"),
    CoordinatorMutant("newcomer first", "D5", waiting.NewcomerFirst, "api-wait", "no_overtaking"),
    CoordinatorMutant(
        "everyone is told", "S4", starting.EveryoneIsTold, "slot-raise", "start_failures_reach_their_requester"
    ),
    CoordinatorMutant("drain forgotten", "D9", leases.DrainForgotten, "slot-raise", "no_shutdown_of_a_leased_instance"),
    CoordinatorMutant("stopped twice", "D2", stopping.StoppedTwice, "api-raise", "stopped_once"),
    CoordinatorMutant(
        "waits in raise mode", "contract", waiting.WaitsInRaiseMode, "slot-raise", "raise_mode_never_waits"
    ),
    CoordinatorMutant("waits for itself", "contract", waiting.WaitsForItself, "slot-parallel", "no_self_deadlock"),
    CoordinatorMutant("waits for its parent", "R13", waiting.WaitsForItsParent, "slot-below", "no_self_deadlock"),
    CoordinatorMutant(
        "undelivered grant kept", "R5", waiting.UndeliveredGrantKept, "api-wait", "undelivered_grants_cost_nothing"
    ),
    CoordinatorMutant(
        "undelivered grant breaks", "R5", waiting.UndeliveredGrantBreaks, "api-wait", "undelivered_grants_cost_nothing"
    ),
    CoordinatorMutant(
        "dies of a failed start", "R9", starting.DiesOfAFailedStart, "slot-raise", "failed_starts_end_nothing_else"
    ),
    CoordinatorMutant(
        "last deadline stands", "R3", waiting.LastDeadlineStands, "api-wait", "next_deadline_is_not_late"
    ),
    CoordinatorMutant("timer kept", "D11", waiting.TimerKept, "api-wait", "ended_requests_leave_no_state"),
    CoordinatorMutant("forgets to stop", "D2", stopping.ForgetsToStop, "api-wait", "stopped_once"),
    CoordinatorMutant(
        "grants while stopping", "D9", leases.GrantsWhileStopping, "slot-raise", "only_active_instances_are_leased"
    ),
    CoordinatorMutant("release by configuration", "D7", leases.DoubleGrant, "slot-raise", "leases_match_requests"),
    CoordinatorMutant("saturation forgotten", "contract", pools.SaturationForgotten, "api-wait", "saturated_iff_full"),
    CoordinatorMutant(
        "successor forgotten", "D10", stopping.SuccessorForgotten, "slot-wait", "every_waiter_can_be_woken"
    ),
    CoordinatorMutant("raises", "classic", starting.Raises, "slot-raise", "coordinator_never_fails"),
    CoordinatorMutant("not adopted", "found here", starting.NotAdopted, "live-api-2", "every_waiter_is_served[b]"),
    CoordinatorMutant("overcrowded", "D1", leases.Overcrowded, "slot-raise", "leases_within_parallel"),
    CoordinatorMutant(
        "draining is lent", "D9", leases.DrainingIsLent, "slot-raise", "draining_instances_are_never_granted"
    ),
    CoordinatorMutant("wrong model", "S8", leases.AnyIdle, "slot-wait", "leases_match_signatures"),
    CoordinatorMutant("grants twice", "classic", leases.GrantsTwice, "api-raise", "no_double_grant"),
    CoordinatorMutant("starts twice", "S2", starting.StartsTwice, "api-raise", "started_once"),
    CoordinatorMutant(
        "releases another lease", "D7/R4", leases.ReleasesAnotherLease, "api-raise", "release_is_idempotent"
    ),
    CoordinatorMutant(
        "waits while closing", "D13", stopping.WaitsWhileClosing, "api-wait", "closing_grants_and_starts_nothing"
    ),
    CoordinatorMutant("says it is closed", "D2", stopping.SaysItIsClosed, "api-raise", "closed_manager_is_empty"),
    CoordinatorMutant("never closes", "D16", stopping.NeverCloses, "api-raise", "close_ends"),
    CoordinatorMutant("keeps idle timer", "D11", stopping.KeepsIdleTimer, "api-raise", "deadlines_match_states"),
    CoordinatorMutant("miscounts", "D12", pools.Miscounts, "api-wait", "indexes_are_consistent"),
    CoordinatorMutant(
        "lies about its bound", "contract", policies.LiesAboutItsBound, "slot-gated", "overtaking_within_bound"
    ),
    CoordinatorMutant(
        "pauses without end", "classic", policies.PausesWithoutEnd, "slot-cost-aware", "pauses_are_justified"
    ),
    CoordinatorMutant(
        "refuses for a pause",
        "starvation",
        policies.RefusesForAPause,
        "pause-full",
        "no_refusal_beside_an_idle_instance",
    ),
    CoordinatorMutant(
        "pauses again", "starvation", policies.PausesAgain, "slot-cost-aware", "pauses_end_in_a_placement"
    ),
    CoordinatorMutant("lies about its work", "contract", policies.LiesAboutItsWork, "slot-gated", "work_conservation"),
    CoordinatorMutant("starves", "starvation", policies.Starves, "live-fifo", "every_waiter_is_served[b]"),
    CoordinatorMutant("hoards idle", "D3", pools.HoardsIdle, "api-wait", "live_instances_within_limit"),
    CoordinatorMutant("never makes room", "D19", pools.NeverMakesRoom, "api-wait", "work_conservation"),
    CoordinatorMutant("keeps the old model", "D17", pools.KeepsTheOldModel, "slot-wait", "one_live_instance_per_slot"),
    CoordinatorMutant(
        "evicts under a lease", "S1", stopping.EvictsUnderALease, "slot-wait", "no_shutdown_of_a_leased_instance"
    ),
    CoordinatorMutant("serves another pool", "D4", waiting.ServesAnotherPool, "side-by-side", "work_conservation"),
    CoordinatorMutant("head of line", "head-of-line", waiting.HeadOfLine, "side-by-side", "work_conservation"),
    CoordinatorMutant("failure swallowed", "D20", starting.FailureSwallowed, "api-raise", "every_waiter_can_be_woken"),
    CoordinatorMutant(
        "waits for every shutdown", "D16", stopping.WaitsForEveryShutdown, "api-raise", "deadlines_match_states"
    ),
    CoordinatorMutant("one too many waits", "D13", waiting.OneTooMany, "full-api", "waiting_is_bounded"),
    CoordinatorMutant("one too few waits", "contract", waiting.OneTooFew, "full-slot", "waiting_is_bounded"),
    CoordinatorMutant("missing guard", "classic", leases.MissingGuard, "api-raise", "coordinator_never_fails"),
)

MANAGERS: Final = (
    ManagerMutant("unshielded shutdown", "classic", managers.UnshieldedShutdown, "cancellation"),
    ManagerMutant("lost wake-up of a task", "classic", managers.LostWakeUp, "faults"),
    ManagerMutant("leaked slot of a task", "classic", managers.LeakedSlot, "some schedules"),
    ManagerMutant("late release", "D9", managers.LateRelease, "faults"),
    ManagerMutant("forgotten cancel", "D12", managers.ForgottenCancel, "faults"),
    ManagerMutant("hangs with its shutdown", "D16", managers.HangsWithItsShutdown, "some schedules"),
    ManagerMutant("eviction target revived", "deadlock", managers.EvictionTargetRevived, "cancellation"),
    ManagerMutant("freed by its stream", "D18", managers.FreedByItsStream, "some schedules"),
    ManagerMutant("freed before its end", "R1", attacked.FreedBeforeItsEnd, "faults"),
    ManagerMutant("steps in a handler", "R2/R3", attacked.StepsInAHandler, "interruptions"),
    ManagerMutant("keeps the lease of an error", "R5", attacked.KeepsTheLeaseOfAnError, "faults"),
    ManagerMutant("takes it for its own", "R9", attacked.TakesACancellationForItsOwn, "faults"),
    ManagerMutant("knows no parents", "R13", attacked.KnowsNoParents, "faults"),
    ManagerMutant("late start counts", "classic", starting.LateStartCounts, "some schedules"),
    ManagerMutant("never times out", "D13", waiting.NeverTimesOut, "cancellation"),
)

IDENTITIES: Final = (
    IdentityMutant("credentials left out", "D14", identities.WithoutKey, "credentials_are_identity"),
    IdentityMutant("values shown", "D14/D21", identities.ValuesShown, "credentials_are_never_shown"),
    IdentityMutant("name parsed", "D15", identities.NameParsed, "names_are_data"),
    IdentityMutant("nested as written", "D21", identities.NestedAsWritten, "keys_are_sorted_at_every_depth"),
    IdentityMutant("masked by name", "D21", identities.KeyLikeMasked, "values_are_told_apart"),
    IdentityMutant("NaN is null", "D21", identities.NanIsNull, "values_without_a_form_are_refused"),
    IdentityMutant("any limit", "D21", identities.AnyLimit, "bad_limits_are_refused"),
    IdentityMutant("any time", "D21", identities.AnyTime, "bad_times_are_refused"),
    IdentityMutant("falsy is missing", "S8", identities.FalsyIsMissing, "values_are_told_apart"),
    IdentityMutant("address as written", "S9", identities.AddressAsWritten, "servers_are_told_by_their_address"),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*COORDINATORS, *MANAGERS, *IDENTITIES)
