/* The pool of an API provider, from "Pools", "Starting", "Stopping" and "Closing" of the contract: LIMIT live instances, each for
   one request at a time. RAISE (0 or 1) is on_limit. No self-deadlock, no max_waiting.

   BUG plants a mistake: 1 newcomers overtake, 3 one instance more than the limit, 4 the idle time-out stops an instance that is
   leased, 6 the most recently used idle instance makes room, 7 nobody counts as the requester of a start that they joined. */

#include "requests.pml"
#define PLACES (LIMIT + 1) /* one more than allowed, so that the limit is a rule and not a matter of memory */

mtype:life life[PLACES] = vacant;
byte resident[PLACES] = NONE;  /* the configuration of the live instance */
byte promised[PLACES] = NONE;  /* the configuration that starts there when that is down */
byte causer[PLACES] = NONE;    /* the request that the start under way was begun for */
byte place[ASKERS] = NONE;     /* where a request is assigned or granted */
byte live;

/* Two queues of places. Which of several places that are being vacated is promised first the contract leaves open; so does it which
   of several idle instances of one configuration is taken. Here: the one vacated first, the one used last. */
chan unused = [PLACES] of { byte };   /* idle, least recently used first */
chan vacating = [PLACES] of { byte }; /* stopping and promised to nobody */

hidden byte p;
hidden byte found;
hidden byte held;

/* ---- an instance ---- */

inline load(q, k, c) {
    life[q] = starting;
    live++;
    resident[q] = k;
    promised[q] = NONE;
    causer[q] = c
}

inline unload(q) {
    life[q] = stopping;
    causer[q] = NONE;
    vacating!q
}

inline vacate(q) {
    life[q] = vacant;
    live--;
    resident[q] = NONE;
    causer[q] = NONE
}

/* ---- who gets what: found is the place, or NONE ---- */

/* Its own idle instance; with several, the one used last. */
inline find_idle(k) {
    found = NONE;
    for (i : 1 .. len(unused)) {
        unused?p;
        unused!p;
        if
        :: resident[p] == k -> found = p
        :: else
        fi
    }
}

/* A start of its own configuration whose requester has gone, so that it has a free slot. */
inline find_start(k) {
    found = NONE;
    for (p : 0 .. PLACES - 1) {
        if
        :: life[p] == starting && resident[p] == k -> found = p
        :: else
        fi;
        for (i : 0 .. ASKERS - 1) {
            if
            :: found == p && at[i] == assigned && place[i] == p -> found = NONE
            :: else
            fi
        }
        if
        :: found != NONE -> break
        :: else
        fi
    }
}

inline find_room() {
    found = NONE;
    for (p : 0 .. PLACES - 1) {
        if
        :: found == NONE && life[p] == vacant && live < LIMIT + (BUG == 3) -> found = p
        :: else
        fi
    }
}

inline try_to_place(c) {
    placed = true;
    find_idle(WANT(c));
    if
    :: found != NONE -> grant(c); place[c] = found; life[found] = leased; unused??eval(found)
    :: else ->
        find_start(WANT(c));
        if
        :: found != NONE ->
            assign(c);
            place[c] = found;
            if
            :: BUG != 7 -> causer[found] = c  /* its requester has gone, or there would be no room in it */
            :: else
            fi
        :: else ->
            find_room();
            if
            :: found != NONE -> assign(c); place[c] = found; load(found, WANT(c), c)
            :: else -> make_room(c)
            fi
        fi
    fi
}

inline make_room(c) {
    if
    :: len(unused) > 0 ->
        if
        :: BUG == 6 -> for (i : 1 .. len(unused)) { unused?found; unused!found }; unused??eval(found)
        :: else -> unused?found
        fi;
        unload(found);
        promise(found, c)
    :: len(unused) == 0 && len(vacating) > 0 ->
        vacating?<found>;
        promise(found, c)
    :: else -> placed = false
    fi
}

inline promise(q, c) {
    vacating??eval(q);
    assign(c);
    place[c] = q;
    promised[q] = WANT(c)
}

inline refuse(c) {
    finish(c, limit)
}

/* ---- leaving ---- */

inline give_back(c, how, broken) {
    finish(c, how);
    found = place[c];
    place[c] = NONE;
    if
    :: broken || life[found] == draining || manager != open -> unload(found)
    :: else -> life[found] = idle; unused!found
    fi;
    serve()
}

inline find_broken(c) {
    found = place[c];
    life[found] = draining
}

inline give_up(c, how) {
    finish(c, how);
    found = place[c];
    place[c] = NONE;
    if
    :: found != NONE && life[found] == stopping -> promised[found] = NONE; vacating!found  /* it was only planned */
    :: found != NONE && life[found] == starting && causer[found] == c -> causer[found] = NONE  /* a start outlives its requester */
    :: else
    fi;
    serve()
}

/* ---- the end of a start or a shutdown, and of idleness ---- */

inline start_succeeds(q) {
    causer[q] = NONE;
    life[q] = idle;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == assigned && place[j] == q -> grant(j); life[q] = leased
        :: else
        fi
    }
    if
    :: manager != open -> unload(q)
    :: manager == open && life[q] == idle -> unused!q
    :: else
    fi;
    serve()
}

inline start_fails(q, constructed, how) {
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == assigned && place[j] == q && causer[q] == j -> finish(j, how); place[j] = NONE
        :: at[j] == assigned && place[j] == q && causer[q] != j -> wait(j); place[j] = NONE
        :: else
        fi
    }
    if
    :: constructed -> unload(q)
    :: else -> vacate(q)
    fi;
    serve();
    finish_if_empty()
}

inline is_down(q) {
    head = NONE;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == assigned && place[j] == q -> head = j
        :: else
        fi
    }
    vacate(q);
    if
    :: head != NONE -> load(q, WANT(head), head)
    :: else -> vacating??eval(q)
    fi;
    serve();
    finish_if_empty()
}

inline idle_too_long(q) {
    if
    :: life[q] == idle -> unused??eval(q)
    :: else
    fi;
    unload(q)
}

/* ---- closing ---- */

inline close() {
    manager = closing;
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == waiting || at[j] == assigned -> finish(j, shut); place[j] = NONE
        :: else
        fi
    }
    for (p : 0 .. PLACES - 1) {
        causer[p] = NONE;
        if
        :: promised[p] != NONE -> promised[p] = NONE; vacating!p
        :: life[p] == idle -> unused??eval(p); unload(p)
        :: else
        fi
    }
    finish_if_empty()
}

inline end_grace() {
    for (j : 0 .. ASKERS - 1) {
        if
        :: at[j] == granted -> finish(j, revoked); place[j] = NONE
        :: else
        fi
    }
    for (p : 0 .. PLACES - 1) {
        if
        :: life[p] == starting || life[p] == leased || life[p] == draining -> unload(p)
        :: else
        fi
    }
}

inline finish_if_empty() {
    if
    :: manager == closing && live == 0 -> manager = closed
    :: else
    fi
}

/* ---- what must hold after every step ---- */

inline inspect() {
    assert(live <= LIMIT);
    find_oldest(waiting);
    assert(oldest == NONE || (!RAISE && manager == open && live == LIMIT && len(unused) + len(vacating) == 0));
    held = 0;
    for (p : 0 .. PLACES - 1) {
        users = 0;
        for (i : 0 .. ASKERS - 1) {
            if
            :: place[i] == p ->
                users++;
                assert((at[i] == granted) == (life[p] == leased || life[p] == draining));
                assert((at[i] == assigned) == (life[p] == starting || life[p] == stopping));
                assert(WANT(i) == (life[p] == stopping -> promised[p] : resident[p]))
            :: else
            fi
        }
        assert(users <= 1);
        assert((life[p] != leased && life[p] != draining) || users == 1);
        assert((life[p] == stopping && users == 1) == (promised[p] != NONE));
        held = held + (life[p] != vacant)
    }
    assert(held == live);
    for (i : 0 .. ASKERS - 1) {
        assert((place[i] != NONE) == (at[i] == assigned || at[i] == granted));
        assert(manager == open || at[i] == new || at[i] == granted)
    }
    assert(manager != closed || live == 0)
}

inline print_state() {
    held = 0;
    for (p : 0 .. PLACES - 1) {
        held = held + (life[p] == starting || life[p] == leased || life[p] == draining || promised[p] != NONE)
    }
    if
    :: manager == open && held >= LIMIT -> printf("saturated")
    :: else -> printm(manager)
    fi;
    printf(";");
    for (p : 0 .. PLACES - 1) {
        if
        :: life[p] != vacant -> print_instance(p)
        :: else
        fi
    }
    printf(";");
    print_requests(false);
    printf(";");
    for (i : 1 .. len(unused)) {
        unused?p;
        unused!p;
        printf("%d,", resident[p])
    }
}

inline print_instance(q) {
    users = 0;
    for (i : 0 .. ASKERS - 1) {
        if
        :: place[i] == q -> users = users + (1 << rank[i])
        :: else
        fi
    }
    printm(life[q]);
    printf(" %d to %d for %d by %d,", resident[q], promised[q], users, (causer[q] == NONE -> NONE : rank[causer[q]]))
}

/* ---- who acts ---- */

proctype Server(byte q) {
    do
    :: d_step { life[q] == starting -> BEFORE; start_succeeds(q); AFTER("start succeeds") }
    :: d_step { life[q] == starting -> BEFORE; start_fails(q, true, start_failed); AFTER("start fails") }
    :: d_step { life[q] == starting -> BEFORE; start_fails(q, false, start_failed); AFTER("construction fails") }
    :: d_step { life[q] == starting -> BEFORE; start_fails(q, true, start_overdue); AFTER("start overdue") }
    :: d_step { life[q] == stopping -> BEFORE; is_down(q); AFTER("down") }
    od
}

proctype Idler(byte q) {
    do
    :: d_step { life[q] == idle || (BUG == 4 && life[q] == leased) -> BEFORE; idle_too_long(q); AFTER("idle time-out") }
    :: d_step { true -> skip }
    od
}

#include "actors.pml"
