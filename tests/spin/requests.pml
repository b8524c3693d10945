/* What both specifications say about requests: who asks for what, in which order, and how each of them ends.

   There are OF_0, OF_1 and OF_2 askers for configuration 0, 1 and 2. Each makes one request at a time, and asks again as often as it
   likes. A request is known by its rank, the number of unfinished requests that are older; so states are equal whoever asks. */

#ifndef OF_2
#define OF_2 0
#endif
#ifndef BUG
#define BUG 0 /* what is planted: see slot.pml, pool.pml */
#endif
#define ASKERS (OF_0 + OF_1 + OF_2)
#define NONE 9 /* no request, no configuration */

mtype:phase = { open, closing, closed };
mtype:stage = { new, waiting, assigned, granted,
                released, revoked, cancelled, timed_out, start_failed, start_overdue, conflict, busy, limit, shut };
mtype:life = { vacant, starting, leased, idle, draining, stopping };  /* leased: active, which is a keyword here */

mtype:phase manager = open;
mtype:stage at[ASKERS] = new;
byte rank[ASKERS];

/* Scratch: no part of the state. */
hidden byte i;
hidden byte j;
hidden byte r;
hidden byte oldest;
hidden byte head;
hidden byte users;
hidden byte placed;

#define WANT(c) ((c) < OF_0 -> 0 : ((c) < OF_0 + OF_1 -> 1 : 2))
#define UNDER_WAY(c) (at[c] == waiting || at[c] == assigned || at[c] == granted)
#define ENDED(c) (at[c] != new && !UNDER_WAY(c))

/* ---- every move of a request is one that its machine has ---- */

/* First come, first served: nobody who waits was there before c. */
inline in_order(c) {
    for (i : 0 .. ASKERS - 1) {
        assert(!(at[i] == waiting && at[c] != assigned && rank[i] < rank[c]))
    }
}

inline wait(c) {
    assert(at[c] == new || at[c] == assigned);
    at[c] = waiting
}

inline assign(c) {
    assert(at[c] == new || at[c] == waiting);
    in_order(c);
    at[c] = assigned
}

inline grant(c) {
    assert(at[c] == new || at[c] == waiting || at[c] == assigned);
    in_order(c);
    at[c] = granted
}

inline finish(c, how) {
    assert((how == released || how == revoked) == (at[c] == granted));
    assert((how != conflict && how != busy && how != limit) || at[c] == new);
    assert(how != start_failed && how != start_overdue || at[c] == assigned);
    at[c] = how
}

inline take_rank(c) {
    rank[c] = 0;
    for (i : 0 .. ASKERS - 1) {
        if
        :: UNDER_WAY(i) -> rank[c]++
        :: else
        fi
    }
}

/* oldest: who was first among those at this stage, or NONE. */
inline find_oldest(where) {
    oldest = NONE;
    for (i : 0 .. ASKERS - 1) {
        if
        :: at[i] == where && (oldest == NONE || rank[i] < rank[oldest]) -> oldest = i
        :: else
        fi
    }
}

/* ---- who is served: each specification says by try_to_place(c) whether there is something for c, and how it refuses c ---- */

inline serve() {
    do
    :: find_oldest(waiting);
       head = oldest;
       placed = false;
       if
       :: head != NONE -> try_to_place(head)
       :: else
       fi;
       if
       :: placed
       :: else -> break
       fi
    od
}

/* A newcomer is looked at only if nobody waits. */
inline arrive(c) {
    take_rank(c);
    find_oldest(waiting);
    placed = false;
    if
    :: oldest == NONE || BUG == 1 -> try_to_place(c)
    :: else
    fi;
    if
    :: placed
    :: !placed && RAISE -> refuse(c)
    :: !placed && !RAISE -> wait(c)
    fi
}

/* Those who have ended leave no trace: the ranks close up, and they may ask again. */
inline sweep() {
    for (j : 0 .. ASKERS - 1) {
        if
        :: ENDED(j) ->
            for (i : 0 .. ASKERS - 1) {
                if
                :: at[i] != new && rank[i] > rank[j] -> rank[i]--
                :: else
                fi
            }
            at[j] = new;
            rank[j] = 0
        :: else
        fi
    }
}

/* ---- what a verifier that was compiled with PRINTF prints: before|event|who has ended how|after ---- */

inline print_requests(ended) {
    for (r : 0 .. ASKERS - 1) {
        for (i : 0 .. ASKERS - 1) {
            if
            :: ENDED(i) == ended && at[i] != new && rank[i] == r -> printf("%d:%d ", r, WANT(i)); printm(at[i]); printf(",")
            :: else
            fi
        }
    }
}

#ifdef LIVENESS /* a search for cycles visits a step more than once: nothing is printed */
#define BEFORE skip
#define AFTER(event) sweep(); inspect(); skip
#else
#define BEFORE printf("@"); print_state()
#define AFTER(event) printf("|"); printf(event); printf("|"); print_requests(true); sweep(); \
                     inspect(); printf("|"); print_state(); printf("\n")
#endif
