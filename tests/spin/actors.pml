/* Who acts in both specifications. Holders and Servers have to act in the end: that is what weak fairness (-f) demands of a
   process that can. Whoever may also do nothing never has to: askers need not ask, nor be cancelled. */

proctype Asker(byte c) {
    do
    :: d_step { manager == open && at[c] == new -> BEFORE; arrive(c); AFTER("ask") }
    :: d_step { at[c] == waiting || at[c] == assigned -> BEFORE; give_up(c, cancelled); AFTER("cancel") }
    :: d_step { at[c] == waiting || at[c] == assigned -> BEFORE; give_up(c, timed_out); AFTER("time out") }
    :: d_step { at[c] == granted -> BEFORE; find_broken(c); AFTER("found broken") }
    :: d_step { true -> skip }
    od
}

proctype Holder(byte c) {
    do
    :: d_step { at[c] == granted -> BEFORE; give_back(c, released, false); AFTER("release") }
    :: d_step { at[c] == granted -> BEFORE; give_back(c, released, true); AFTER("release broken") }
    od
}

proctype Manager() {
    do
    :: d_step { manager == open -> BEFORE; close(); AFTER("close") }
    :: d_step { manager == open -> BEFORE; close(); end_grace(); AFTER("close at once") }
    :: d_step { manager == closing -> BEFORE; end_grace(); AFTER("grace over") }
    od
}

init {
    atomic {
        for (j : 0 .. ASKERS - 1) {
            run Asker(j);
            run Holder(j)
        }
        for (j : 0 .. PLACES - 1) {
            run Server(j);
#ifdef LIMIT
            run Idler(j)
#endif
        }
#ifndef LIVENESS
        run Manager()
#endif
    }
}

/* Every request that waits is granted, rejected or cancelled in the end: WATCHED says whose. */
#ifdef LIVENESS
#define WAITS (at[WATCHED] == waiting || at[WATCHED] == assigned)
ltl served { [] (WAITS -> <> !WAITS) }
#endif
