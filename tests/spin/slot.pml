/* A local slot, from "Local slots", "Starting", "Stopping" and "Closing" of the contract: one live instance, which up to PARALLEL
   requests share. RAISE (0 or 1) is on_conflict. First come, first served. No priorities, no self-deadlock, no max_waiting.

   BUG plants a mistake: 1 newcomers overtake, 2 a stopping instance is granted to its own signature, 3 the new instance starts
   before the old is down, 4 a broken release stops an instance that others lease, 5 a failed start forgets who waits. */

#include "requests.pml"

mtype:life slot = vacant;
byte live;             /* instances between the begin of their start and the end of their shutdown */
byte resident = NONE;  /* the configuration of the live instance */
byte promised = NONE;  /* the configuration that is loaded when it is down */
byte causer = NONE;    /* the request that the start under way was begun for */

hidden byte leases;
hidden byte joined;

inline count() {
    leases = 0;
    joined = 0;
    for (i : 0 .. ASKERS - 1) {
        if
        :: at[i] == granted -> leases++
        :: at[i] == assigned -> joined++
        :: else
        fi
    }
}

/* ---- the instance ---- */

inline load(k) {
    slot = starting;
    live++;
    resident = k;
    promised = NONE;
    find_oldest(assigned);
    causer = oldest
}

inline unload() {
    slot = stopping;
    promised = NONE;
    causer = NONE
}

inline vacate() {
    slot = vacant;
    resident = NONE;
    causer = NONE
}

/* ---- who gets it ---- */

inline try_to_place(c) {
    count();
    placed = true;
    if
    :: BUG == 2 && slot == stopping && resident == WANT(c) -> grant(c)
    :: BUG == 3 && slot == idle && resident != WANT(c) -> assign(c); load(WANT(c))
    :: slot == vacant -> assign(c); load(WANT(c))
    :: slot == idle && resident == WANT(c) -> grant(c); slot = leased
    :: slot == leased && resident == WANT(c) && leases < PARALLEL -> grant(c)
    :: slot == starting && resident == WANT(c) && joined == 0 -> assign(c); causer = c  /* its requester has gone */
    :: slot == starting && resident == WANT(c) && joined > 0 && joined < PARALLEL -> assign(c)
    :: BUG != 3 && slot == idle && resident != WANT(c) -> assign(c); unload(); promised = WANT(c)
    :: !(BUG == 2 && resident == WANT(c)) && slot == stopping && promised == NONE -> assign(c); promised = WANT(c)
    :: slot == stopping && promised == WANT(c) && joined < PARALLEL -> assign(c)
    :: else -> placed = false
    fi
}

inline refuse(c) {
    if
    :: (promised == NONE -> resident : promised) == WANT(c) -> finish(c, busy)
    :: else -> finish(c, conflict)
    fi
}

/* ---- leaving ---- */

inline give_back(c, how, broken) {
    finish(c, how);
    count();
    if
    :: leases == 0 && (broken || slot == draining || manager != open) -> unload()
    :: leases == 0 && !(broken || slot == draining || manager != open) -> slot = idle
    :: leases > 0 && broken && BUG == 4 -> unload()
    :: leases > 0 && broken && BUG != 4 -> slot = draining
    :: else
    fi;
    serve()
}

inline find_broken(c) {
    if
    :: slot == leased -> slot = draining
    :: else
    fi
}

inline give_up(c, how) {
    finish(c, how);
    if
    :: causer == c -> causer = NONE
    :: else
    fi;
    count();
    if
    :: slot == stopping && joined == 0 -> promised = NONE  /* nobody wants what was only planned */
    :: else                                                /* a start outlives its requester */
    fi;
    serve()
}

/* ---- the end of a start or a shutdown ---- */

inline start_succeeds() {
    count();
    causer = NONE;
    if
    :: manager != open -> unload()
    :: manager == open && joined == 0 -> slot = idle
    :: else -> slot = leased
    fi;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == assigned -> grant(j)
        :: else
        fi
    }
    serve()
}

inline start_fails(constructed, how) {
    if
    :: causer != NONE -> finish(causer, how)
    :: else
    fi;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == assigned -> wait(j)
        :: else
        fi
    }
    if
    :: constructed -> unload()
    :: else -> vacate(); live--
    fi;
    if
    :: BUG == 5
    :: else -> serve()
    fi;
    finish_if_empty()
}

inline is_down() {
    live--;
    if
    :: promised != NONE -> load(promised)
    :: else -> vacate()
    fi;
    serve();
    finish_if_empty()
}

/* ---- closing ---- */

inline close() {
    manager = closing;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == waiting || at[j] == assigned -> finish(j, shut)
        :: else
        fi
    }
    causer = NONE;
    promised = NONE;
    if
    :: slot == idle -> unload()
    :: else
    fi;
    finish_if_empty()
}

inline end_grace() {
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == granted -> finish(j, revoked)
        :: else
        fi
    }
    if
    :: slot == starting || slot == leased || slot == draining -> unload()
    :: else
    fi
}

inline finish_if_empty() {
    if
    :: manager == closing && slot == vacant -> manager = closed
    :: else
    fi
}

/* ---- what must hold after every step ---- */

inline inspect() {
    count();
    assert(live <= 1 && live == (slot != vacant));
    assert(leases <= PARALLEL && joined <= PARALLEL);
    assert((leases > 0) == (slot == leased || slot == draining));
    assert((promised != NONE) == (slot == stopping && joined > 0));
    assert(joined == 0 || slot == starting || slot == stopping);
    find_oldest(waiting);
    assert(oldest == NONE || !RAISE);
    assert(oldest == NONE || slot == starting || slot == leased || slot == draining || promised != NONE);
    assert(manager == open || (oldest == NONE && joined == 0));
    assert(manager != closed || slot == vacant);
    for (i : 0 .. ASKERS - 1) {
        assert(at[i] != granted || WANT(i) == resident);
        assert(at[i] != assigned || WANT(i) == (slot == stopping -> promised : resident))
    }
}

inline print_state() {
    if
    :: manager == open && (slot == starting || slot == leased || slot == draining || promised != NONE) -> printf("saturated")
    :: else -> printm(manager)
    fi;
    printf(";");
    if
    :: slot != vacant ->
        users = 0;
        for (i : 0 .. ASKERS - 1) {
            if
            :: at[i] == granted || at[i] == assigned -> users = users + (1 << rank[i])
            :: else
            fi
        }
        printm(slot);
        printf(" %d to %d for %d by %d,", resident, promised, users, (causer == NONE -> NONE : rank[causer]))
    :: else
    fi;
    printf(";");
    print_requests(false);
    printf(";");
    if
    :: slot == idle -> printf("%d,", resident)
    :: else
    fi
}

/* ---- who acts ---- */

proctype Server(byte q) {
    do
    :: d_step { slot == starting -> BEFORE; start_succeeds(); AFTER("start succeeds") }
    :: d_step { slot == starting -> BEFORE; start_fails(true, start_failed); AFTER("start fails") }
    :: d_step { slot == starting -> BEFORE; start_fails(false, start_failed); AFTER("construction fails") }
    :: d_step { slot == starting -> BEFORE; start_fails(true, start_overdue); AFTER("start overdue") }
    :: d_step { slot == stopping -> BEFORE; is_down(); AFTER("down") }
    od
}

#define PLACES 1
#include "actors.pml"
