// SPDX-License-Identifier: Apache-2.0

/* The protocol of docs/waiting.md for Spin: every interleaving of a few requests, with kills and stops at any step.

   A configuration is a set of macros (below), and BUG_... plants a fault; waiting.sh says which must be found. By hand:
     spin -a -DFAULTS=1 waiting.pml && gcc -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -E -m400000
   With -DNP instead of -DSAFETY, and ./pan -l, it looks for circles without progress: every circle is one.

   Steps    One access of shared memory is one step, but a scan of all seats is one, and so is a look at the cells of one
            kind. A bell is read and rung in one step each; a ring and its futex call are one step.
   Time     passes when nothing else can happen. Then slices end, and a seat of a process that does not run is stale.
   Grace    ends once the other has looked, or does not run; with HASTY at any moment, as for a slow process.

   Claims   1. While a permit is free, nobody sleeps who could pass and is not behind one that cannot: but for one slice for
               each kill or stop.
            2. The order: a request that began after another one had opened the gate is not admitted before it, if that one
               goes before it. Not with SHARES and HASTY.
            3. No circle without progress.
   What a waiter lacks is judged by the cells, not by what its seat says.

   Seen     States of searches that ended, in which the claims named held:
            2 requests, 1 permit                                 626,805 (1 and 2), 1,253,609 (3)
            a user's permit for one of them; its holder stays    231,496 (1 and 2), 430,025 (3)
            the same, taken by another while it waits            4,002,482 (1 and 2)
            the same, with nobody before them                    131,847 (1 and 2), 263,693 (3)
            one needs 2 cells, which one holder has              983,128 (1 and 2); beside one held for ever: 18,895 (3)
            push-out of the only seat                            241,917 (1 and 2)
            a quota besides the permit                           747,571 (1 and 2)
            2 requests, no holder, 2 kills or stops              239,934 (1 and 2)
            2 requests, 1 permit, 1 kill or stop                 24,051,551 (1 and 2)
            the same, either cancelled or out of time instead    6,689,796 (1 and 2)
            2 requests, 2 holders, 2 permits                     24,818,710 (1 and 2)
            LIFO, two classes, shares, a hasty grace             about 700,000 each (1 and 2)
            The last five and "no holder" were searched with earlier states of this file, of which only the first look, the
            choice of what is killed or the sleep after an answer was different.
            Not to their end: 3 waiters; 2 faults beside a holder; claim 3 with a fault.

   Found    Beside the planted faults of waiting.sh, BUG_NO_ASKED ("absent" if the seat has not changed) breaks the order with
            -DNW=3 -DC0=5, after 982,296 states, and BUG_SAYS_NOTHING loses a wake-up with -DNW=3. BUG_CHARGES_BLINDLY and
            BUG_ASKS_AGAIN are how the protocol was first written. Not found, and so not shown to be needed:
            BUG_SILENT_LOSER, BUG_WAKE_ONE, BUG_NOT_ONLY_USERS.
   Left out The beat's length, guarantees of shares (starvation), several queues, live changes, tickets. */

#ifndef NW
#define NW 2            /* requests */
#endif
#ifndef NH
#define NH 1            /* holders: cell x of kind 0 is held by holder x from the start */
#endif
#ifndef NS
#define NS NW           /* seats */
#endif
#ifndef NC
#define NC 1            /* cells of kind 0: permits of the operation */
#endif
#ifndef NK
#define NK 1            /* kinds of limits; those above 0 have one cell each */
#endif
/* The set of kinds that a request needs, its class, and how many cells of kind 0: one number for each request. */
#ifndef N0
#define N0 1
#endif
#ifndef N1
#define N1 1
#endif
#ifndef N2
#define N2 1
#endif
#define NEED(id) ((id == 0) * N0 + (id == 1) * N1 + (id == 2) * N2)
#ifndef C0
#define C0 1
#endif
#ifndef C1
#define C1 1
#endif
#ifndef C2
#define C2 1
#endif
#define CLASS(id) ((id == 0) * C0 + (id == 1) * C1 + (id == 2) * C2)
#ifndef W0
#define W0 1
#endif
#ifndef W1
#define W1 1
#endif
#ifndef W2
#define W2 1
#endif
#define WEIGHT(id) ((id == 0) * W0 + (id == 1) * W1 + (id == 2) * W2)
#ifndef H0
#define H0 1            /* the set of kinds that holder 0 holds */
#endif
#ifndef H1
#define H1 1
#endif
#define HOLDS(id) ((id == NW) * H0 + (id == NW+1) * H1)
#ifndef HW
#define HW 1            /* how many cells of kind 0 a holder holds */
#endif
#ifndef NO_WAIT
#define NO_WAIT 99      /* a request that does not ask to wait */
#endif
#define WAITS(id) (id != NO_WAIT)
#ifndef USERS
#define USERS 0         /* the set of kinds that are of a user */
#endif
#ifndef QUOTA
#define QUOTA 99        /* the kind that comes back with time, not by a release */
#endif
#ifndef LIFO
#define LIFO 0
#endif
#ifndef SHARES
#define SHARES 0        /* 1: every second turn is of class 1 */
#endif
#ifndef PUSH_OUT
#define PUSH_OUT 0
#endif
#ifndef ENDS
#define ENDS 1          /* 0: some admitted work may never end */
#endif
#ifndef STAYS
#define STAYS 0         /* the set of kinds that a holder never gives back */
#endif
#ifndef TAKEN
#define TAKEN 0         /* a kind that another process takes at any moment and keeps; holder 0 STAYS with it */
#endif
#ifndef FAULTS
#define FAULTS 0        /* kills and stops */
#endif
#ifndef STOPS
#define STOPS 1         /* 0: only kills */
#endif
#ifndef CANCELS
#define CANCELS 0       /* waiters that are cancelled, or whose time is out */
#endif
#ifndef SLICES
#define SLICES 0        /* slices that end while others run */
#endif
#ifndef HASTY
#define HASTY 0         /* 1: the grace may end before the other had a processor */
#endif
#ifndef ALLOW
#define ALLOW 1         /* slices for each fault */
#endif

#define N (NW+NH)
#if FAULTS
#define MAY_DIE unless { gone[id] != 0 }
#else
#define MAY_DIE
#endif
#define NCELL (NC+NK-1)
#define NONE 255
#define KIND_OF(c) ((c >= NC) * (c-NC+1))
#if QUOTA < 8
#define THE_QUOTA (1 << QUOTA)
#define QUOTA_CELL FIRST_CELL(QUOTA)
#else
#define THE_QUOTA 0
#define QUOTA_CELL 0
#endif
#define FIRST_CELL(k) ((k > 0) * (NC+k-1))
#define END_CELL(k) (NC+k)
#define CELLS(id,k) (1 + (k == 0) * (WEIGHT(id)-1))
#define HAS(set,k) (((set >> (k)) & 1) != 0)
#if SHARES
#define RANK(c) (c + 5 * (turn % 2 == 1 && c == 1))
#else
#define RANK(c) (c)
#endif
#if LIFO
#define KEY(id,a) (RANK(CLASS(id))*16 + a)       /* the greater one goes first */
#else
#define KEY(id,a) (RANK(CLASS(id))*16 + 15 - a)
#endif
#define PRESENT 128
#ifdef BUG_OBEY_STOPPED
#define IS_PRESENT(s) 1
#else
#define IS_PRESENT(s) (fresh[s] && !absent[s])
#endif
#define ONLY_USERS(set) (set & (255 * ((set & USERS) == 0) + (USERS) * ((set & USERS) != 0)))

byte cell[NCELL];                                       /* 0 free, else owner+1 */
byte who[NS], arrival[NS], lacks[NS];                   /* a seat is one pair: it changes as one */
bool asked[NS], absent[NS];
bool fresh[NS];                                         /* its beat */
byte epoch; bool open;                                  /* the gate: one word */
byte turn;

byte gone[N];                                           /* 0 runs, 1 killed, 2 stopped */
byte watches[NW];                                       /* the seat, +1, whose bell it has read */
bool rung[NW];                                          /* since it read the bell */
bool asleep[NW], sliced[NW], cancelled[NW];
bool began[NW], seated[NW], admitted[NW], finished[NW];
bool before[NW*NW];
byte clock, faults, rounds, cancels, slices, conformed;

/* looks at seat i */
inline consider() {
  if :: who[i] != 0 && i != own && !HAS(skipped,i) && (lacks[i] & kinds) != 0 ->
       key = KEY(who[i]-1, arrival[i]) + PRESENT * IS_PRESENT(i);
       if :: key > best_key -> best_key = key; best = i; best_who = who[i]; best_lacks = lacks[i] :: else fi
     :: else fi;
  i++
}
/* the first seat that lacks one of `kinds` and is above a key, and is neither `own` nor skipped: compared as it was read */
inline scan() {
  i = 0; best = NONE; best_key = above; best_who = 0; best_lacks = 0;
  do :: i < NS -> consider() :: else -> break od;
  i = 0; best_key = 0; key = 0; kinds = 0; above = 0; own = 0 }
/* rings seat s: a process that has read the bell will not sleep, one that sleeps wakes */
inline ring_now(s) {
  i = 0; woke = 0;
  do :: i < NW ->
       if :: watches[i] == s+1 && !asleep[i] -> rung[i] = 1
#ifdef BUG_WAKE_ONE
          :: watches[i] == s+1 && asleep[i] && gone[i] == 0 && !woke -> rung[i] = 1; asleep[i] = 0; woke = 1
#else
          :: watches[i] == s+1 && asleep[i] && gone[i] == 0 -> rung[i] = 1; asleep[i] = 0; woke = 1
#endif
          :: else fi;
       i++
     :: else -> break od;
  i = 0 }
inline ring(s) { d_step { ring_now(s); woke = 0 } }
/* for each kind of `mine`: rings the first waiter that lacks it, and the next ones until one slept there */
inline ring_for(self) {
#ifdef BUG_ONE_RING
  if :: mine != 0 -> atomic { kinds = mine; own = self; scan() }; if :: best != NONE -> ring(best) :: else fi :: else fi;
#else
  do
  :: mine == 0 -> break
  :: mine != 0 ->
       atomic {
         do :: !HAS(mine,k) -> k++ :: else -> break od;
         kinds = 1 << k; own = self; scan();
         if :: best == NONE -> mine = mine & ~(1 << k); skipped = 0 :: else fi;
         k = 0 };
       if :: best != NONE ->
            d_step { ring_now(best); skipped = skipped | (1 << best); best = NONE; best_who = 0; best_lacks = 0;
              if :: woke -> do :: !HAS(mine,k) -> k++ :: else -> break od;
                   mine = mine & ~(1 << k); skipped = 0
                 :: else fi;
              k = 0; woke = 0 }
          :: else fi
  od;
#endif
  skip; d_step { mine = 0; skipped = 0; woke = 0; best = NONE; best_who = 0; best_lacks = 0 } }
inline after_giving_back(me) {
  if :: mine != 0 && open -> ring_for(me) :: else -> mine = 0 fi }
/* after leaving: shuts the gate if no seat is taken */
inline shut() {
  if :: atomic { open -> was_epoch = epoch };
       atomic { i = 0; do :: i < NS && who[i] == 0 -> i++ :: else -> break od; found = (i < NS); i = 0 };
       d_step {
#ifdef BUG_NO_EPOCH
         if :: !found -> open = 0 :: else fi;
#else
         if :: !found && epoch == was_epoch -> open = 0 :: else fi;
#endif
         found = 0; was_epoch = 0 }
     :: else fi }
/* gives back what is held, one cell a step; `mine` becomes what it was */
inline free_cells(keep) {
  do :: atomic {
       k = 0; do :: k < NCELL && (cell[k] != id+1 || HAS(keep,KIND_OF(k))) -> k++ :: else -> break od;
       if :: k < NCELL -> cell[k] = 0; mine = mine | (1 << KIND_OF(k)); k = 0 :: else -> k = 0; break fi } od }
#ifdef BUG_NO_ASKED   /* absent if its pair is the same as before the grace */
#define ANSWERED (who[pre] != pre_who || lacks[pre] != pre_lacks || asleep[pre_who-1])
#define STILL_ASKED (lacks[pre] == pre_lacks)
#else
#define ANSWERED (who[pre] != pre_who || !asked[pre])
#define STILL_ASKED asked[pre]
#endif
#define GRACE_IS_OVER (HASTY || gone[pre_who-1] != 0 || ANSWERED)

/* The order: a request that began after waiter i had opened the gate is not admitted before it, if i goes before it. */
inline check_order() {
#if !HASTY
  i = 0;
  do :: i < NW ->
       assert(!(before[i*NW+id] && watches[i] != 0 && who[watches[i]-1] == i+1 && !absent[watches[i]-1] && gone[i] == 0 &&
                !admitted[i] && !cancelled[i] && ((lacks[watches[i]-1] & NEED(id)) != 0 || lacks[watches[i]-1] == 0) &&
                (CLASS(i) > CLASS(id) || (!LIFO && CLASS(i) == CLASS(id))) && !SHARES));
       i++
     :: else -> break od;
  i = 0
#else
  skip
#endif
}

proctype Holder(byte id) {
  byte i, k, best, best_key, best_who, best_lacks, key, skipped, mine, kinds, above, own;
  bool woke;
  {
#ifdef BUG_RING_FIRST
    mine = HOLDS(id) & ~(STAYS);
    after_giving_back(NONE);
    free_cells(STAYS)
#else
    free_cells(STAYS);
    after_giving_back(NONE)
#endif
  } MAY_DIE
}

#ifdef BUG_CHARGES_BLINDLY
#define LOOKS_ARE_ENOUGH 1
#else
#define LOOKS_ARE_ENOUGH (NK == 1 && WEIGHT(id) == 1)
#endif

proctype Request(byte id) {
  byte i, k, c, p, pre, pre_who, pre_lacks, lack, got, arr, mine, says;
  byte best, best_key, best_who, best_lacks, key, skipped, was_epoch, kinds, above, own;
  bool woke, found, passes, looked_at_all;
  {
  d_step { p = NONE; pre = NONE; best = NONE; arr = clock; clock++; began[id] = 1;
    i = 0; do :: i < NW -> if :: seated[i] && watches[i] != 0 && (lacks[watches[i]-1] & NEED(id)) == 0 -> before[i*NW+id] = 0 :: else fi; i++ :: else -> break od; i = 0 };
#ifndef BUG_NEWCOMERS_PASS
  if :: open ->                                          /* the newcomer loads the gate */
       atomic { kinds = NEED(id); above = KEY(id,arr)+PRESENT; own = NONE; scan();
         pre = best; pre_who = best_who; pre_lacks = best_lacks; best = NONE; best_who = 0; best_lacks = 0 }
     :: else fi;
#endif
  goto decide;

take:                                                    /* 1 */
  if :: !WAITS(id) -> goto out :: else fi;
  atomic {
    i = 0; do :: i < NS && who[i] != 0 -> i++ :: else -> break od;
    if :: i < NS -> p = i
       :: else ->
#if PUSH_OUT
         /* the last one of the lowest class below its own */
         i = 0; best = NONE; best_key = KEY(id,15);
         do :: i < NS -> if :: CLASS(who[i]-1) < CLASS(id) && KEY(who[i]-1,arrival[i]) < best_key -> best = i; best_key = KEY(who[i]-1,arrival[i]) :: else fi; i++ :: else -> break od;
         p = best; best = NONE; best_key = 0
#else
         skip
#endif
    fi;
    i = 0; found = 0;
    if :: p == NONE -> goto out
       :: else -> found = who[p] != 0; who[p] = id+1; arrival[p] = arr; lacks[p] = lack; says = lack; asked[p] = 0; absent[p] = 0; fresh[p] = 1
    fi };
  if :: found -> ring(p); woke = 0; found = 0 :: else fi;
  atomic { open = 1; epoch++; seated[id] = 1; watches[id] = p+1; rung[id] = 0;      /* 2 and the bell of 3 */
    i = 0; do :: i < NW -> before[id*NW+i] = !began[i]; i++ :: else -> break od; i = 0 };
#ifdef BUG_NO_SECOND_LOOK
  goto doze;
#endif

look:                                                    /* 3 */
  skip; d_step { watches[id] = p+1; rung[id] = 0 };
  atomic { if :: who[p] == id+1 -> asked[p] = 0; absent[p] = 0; fresh[p] = 1 :: else -> goto lost fi };
  atomic { kinds = NEED(id); above = KEY(id,arr)+PRESENT; own = p; lack = 0; scan();      /* 4 */
    pre = best; pre_who = best_who; pre_lacks = best_lacks; best = NONE; best_who = 0; best_lacks = 0 };

decide:                                                  /* looks at all limits, and then takes all or none */
  looked_at_all = LOOKS_ARE_ENOUGH;
  do
  :: atomic { k < NK ->
       do :: k < NK && !HAS(NEED(id),k) -> k++ :: else -> break od;
       if :: k == NK -> skip
          :: k < NK && (pre != NONE || lack != 0 || !looked_at_all) ->     /* only a look */
               c = FIRST_CELL(k); got = 0;
               do :: c < END_CELL(k) -> if :: cell[c] == 0 -> got++ :: else fi; c++ :: else -> break od;
               if :: got < CELLS(id,k) -> lack = lack | (1 << k) :: else fi
          :: else ->
               c = FIRST_CELL(k); got = 0;
               do :: c < END_CELL(k) && got < CELLS(id,k) -> if :: cell[c] == 0 -> cell[c] = id+1; got++ :: else fi; c++ :: else -> break od;
               if :: got < CELLS(id,k) -> lack = lack | (1 << k)
                  :: got == CELLS(id,k) && (NEED(id) >> (k+1)) == 0 -> admitted[id] = 1; check_order()
                  :: else fi
       fi;
       c = 0; got = 0;
       if :: k < NK -> k++ :: else fi }
  :: atomic { k == NK -> k = 0;
       if :: pre == NONE && lack == 0 && !looked_at_all -> looked_at_all = 1
          :: pre == NONE && lack == 0 && looked_at_all -> goto won
          :: pre == NONE && lack != 0 -> break
          :: pre != NONE && lack != 0 -> goto looked
          :: pre != NONE && lack == 0 -> passes = 1;
#ifndef BUG_SAYS_NOTHING
            lack = pre_lacks & NEED(id);
#endif
            goto looked
       fi }
  od;
  free_cells(0);                                         /* all or none */
#ifdef BUG_SILENT_UNDO
  mine = 0;
#else
#ifdef BUG_RINGS_ITSELF
  after_giving_back(NONE);
#else
  after_giving_back(p);
#endif
#endif

looked:
  atomic {
#ifndef BUG_NOT_ONLY_USERS
#if USERS
    lack = ONLY_USERS(lack);
#endif
#endif
    if :: p == NONE -> passes = 0; pre = NONE; pre_who = 0; pre_lacks = 0; goto take
       :: p != NONE && lack == says && passes -> goto ask
       :: p != NONE && lack == says && !passes -> goto doze
       :: p != NONE && lack != says -> skip
    fi };
  atomic {                                               /* 6 */
    if :: who[p] == id+1 -> mine = lacks[p] & ~lack; lacks[p] = lack; says = lack;
         i = 0; do :: i < NW -> if :: began[i] && (lack & NEED(i)) == 0 -> before[id*NW+i] = 0 :: else fi; i++ :: else -> break od; i = 0
       :: else -> goto lost fi;
    passes = 0; pre = NONE; pre_who = 0; pre_lacks = 0;
#ifdef BUG_NO_PASS_ON
    mine = 0
#endif
  };
  ring_for(p);
#ifdef BUG_NO_LOOK_AFTER_CHANGE
  goto doze;
#else
  goto look;
#endif

ask:                                                     /* 5 */
  atomic { if :: who[pre] == pre_who -> asked[pre] = 1 :: else fi };
  ring(pre);
  atomic { if :: !rung[id] -> asleep[id] = 1 :: else fi };
  if
  :: atomic { asleep[id] == 0 -> skip }
  :: atomic { asleep[id] && GRACE_IS_OVER -> asleep[id] = 0;
       if :: who[pre] == pre_who && STILL_ASKED ->
#ifndef BUG_NOT_MARKED
            absent[pre] = 1
#else
            skip
#endif
#ifndef BUG_ASKS_AGAIN
          :: who[pre] == pre_who && !STILL_ASKED -> goto doze    /* it has answered: it is behind one that cannot pass */
#endif
          :: else
       fi }
  fi;
  atomic { passes = 0; pre = NONE; pre_who = 0; pre_lacks = 0; if :: cancelled[id] -> goto leave :: else -> goto look fi };

doze:
  atomic { passes = 0; pre = NONE; pre_who = 0; pre_lacks = 0; lack = 0; if :: !rung[id] -> asleep[id] = 1 :: else fi };
  atomic { asleep[id] == 0;
    if :: sliced[id] -> skip :: !sliced[id] && cancelled[id] -> goto leave :: else -> goto look fi };
  d_step { sliced[id] = 0; k = 0; found = 0;             /* a slice went by: sweeps, and rings every waiter */
    do :: k < NCELL -> if :: KIND_OF(k) != QUOTA && cell[k] != 0 && gone[cell[k]-1] == 1 -> cell[k] = 0; found = 1 :: else fi; k++ :: else -> break od;
    k = 0 };
  d_step {
    do :: k < NS -> if :: who[k] != 0 && gone[who[k]-1] == 1 -> who[k] = 0; lacks[k] = 0; arrival[k] = 0; asked[k] = 0; absent[k] = 0; fresh[k] = 0; found = 1 :: else fi; k++ :: else -> break od;
    k = 0 };
  do :: k < NS && found -> atomic { ring(k); k++ } :: else -> break od;
  atomic { k = 0; found = 0; if :: cancelled[id] -> goto leave :: else -> goto look fi };

lost:                                                    /* pushed out, or taken for dead */
  skip; d_step { mine = says; pre = NONE; pre_who = 0; pre_lacks = 0; lack = 0; passes = 0 };
#ifndef BUG_SILENT_LOSER
  ring_for(NONE);
#else
  mine = 0;
#endif
  goto out;
leave:                                                   /* 7 */
  atomic { if :: who[p] == id+1 -> mine = lacks[p]; who[p] = 0; lacks[p] = 0; arrival[p] = 0; asked[p] = 0; absent[p] = 0; fresh[p] = 0 :: else -> goto lost fi };
#ifndef BUG_SILENT_CANCELLER
  ring_for(NONE);
#else
  mine = 0;
#endif
  shut();
  goto out;
won:                                                     /* 8 */
  skip; d_step { pre = NONE; pre_who = 0; pre_lacks = 0 };
  assert(admitted[id]);
  if :: p != NONE ->
       d_step { mine = says; if :: who[p] == id+1 -> who[p] = 0; lacks[p] = 0; arrival[p] = 0; asked[p] = 0; absent[p] = 0; fresh[p] = 0 :: else fi };
#if SHARES
       turn = (turn + 1) % 2;
#endif
#ifndef CHAIN_SAID
       mine = NEED(id);
#endif
       do :: d_step { k < NK -> found = 0; c = FIRST_CELL(k);
              do :: c < END_CELL(k) -> if :: cell[c] == 0 -> found = 1 :: else fi; c++ :: else -> break od;
              if :: !found -> mine = mine & ~(1 << k) :: else fi; c = 0; found = 0; k++ }
          :: d_step { k == NK -> k = 0 }; break od;
#ifndef BUG_NO_CHAIN
       ring_for(NONE);
#else
       mine = 0;
#endif
       shut()
     :: else fi; skip;
  d_step { p = NONE; watches[id] = 0; lack = 0; says = 0; arr = 0 };
  if :: true :: !ENDS -> goto out fi;
#ifdef BUG_RING_FIRST
  mine = NEED(id) & ~THE_QUOTA;
  after_giving_back(NONE);
  free_cells(THE_QUOTA);
#else
  free_cells(THE_QUOTA);
  after_giving_back(NONE);
#endif
out:
  skip; d_step { finished[id] = 1; watches[id] = 0; arr = 0; lack = 0; says = 0; p = NONE; passes = 0; pre = NONE; pre_who = 0; pre_lacks = 0 }
  } MAY_DIE
}

/* takes what a waiter did not lack when it last looked */
proctype Taker() {
  if :: atomic { cell[FIRST_CELL(TAKEN)] == 0 -> cell[FIRST_CELL(TAKEN)] = NW+1 } :: true fi }

/* any process, at any step */
proctype Fate() {
  byte r, v;
  do
  :: faults < FAULTS ->
       atomic { v = 0; do :: v < N-1 -> v++ :: break od;
         if :: gone[v] == 0 && !(v < NW && finished[v % NW]) -> if :: gone[v] = 1 :: STOPS -> gone[v] = 2 fi; faults++ :: else -> goto gave_up fi; v = 0 }
  :: cancels < CANCELS ->
       atomic { v = 0; do :: v < NW-1 -> v++ :: break od;
         if :: seated[v] && !finished[v] && !cancelled[v] -> cancelled[v] = 1; rung[v] = 1; asleep[v] = 0; cancels++ :: else -> goto gave_up fi; v = 0 }
  :: slices < SLICES ->
       atomic { v = 0; do :: v < NW-1 -> v++ :: break od;
         if :: asleep[v] && gone[v] == 0 -> sliced[v] = 1; asleep[v] = 0; slices++ :: else -> goto gave_up fi; v = 0 }
  :: faults < FAULTS || cancels < CANCELS || slices < SLICES -> atomic { r = rounds + conformed; rounds + conformed != r; r = 0 }
  :: break
  od;
gave_up: v = 0 }

/* how many cells of kind k are free, those of the dead included */
inline count_free() {
  c = FIRST_CELL(k); n = 0;
  do :: c < END_CELL(k) -> if :: cell[c] == 0 -> n++ :: cell[c] != 0 && (k) != QUOTA && gone[cell[c]-1] == 1 -> n++ :: else fi; c++ :: else -> break od;
  c = 0 }
/* what v lacks in truth */
inline truth(v) {
  real = 0; k = 0;
  do :: k < NK -> if :: HAS(NEED(v),k) -> count_free(); if :: n < CELLS(v,k) -> real = real | (1 << k) :: else fi :: else fi; k++ :: else -> break od;
  real = ONLY_USERS(real); k = 0; n = 0 }

/* time passes when nothing else can happen */
proctype Time() {
  byte v, w, k, c, n, real; bool wrong, held, waits;
  do
  :: timeout ->
       d_step {
         wrong = 0; waits = 0; v = 0;
         do :: v < NW ->
              if :: asleep[v] && gone[v] == 0 ->
                   if :: (lacks[watches[v]-1] & THE_QUOTA) != 0 -> waits = 1 :: else fi;
                   truth(v);
                   if :: real == 0 ->
                        /* it could pass, unless it is behind one that cannot */
                        held = 0; w = 0;
                        do :: w < NW ->
                             if :: w != v && asleep[w] && gone[w] == 0 && KEY(w,arrival[watches[w]-1]) > KEY(v,arrival[watches[v]-1]) ->
                                  truth(w); if :: (real & NEED(v)) != 0 -> held = 1 :: else fi
                                :: else fi;
                             w++
                           :: else -> break od;
                        wrong = wrong || !held; w = 0; held = 0
                      :: else fi
                 :: else fi;
              v++
            :: else -> break od;
         v = 0; real = 0 };
       if :: wrong ->
            d_step {
              rounds++;
              assert(rounds <= ALLOW*faults);
              do :: v < NS -> if :: who[v] != 0 && gone[who[v]-1] != 0 -> fresh[v] = 0 :: else fi; v++ :: else -> break od;
              v = 0;
              do :: v < NW -> if :: asleep[v] && gone[v] == 0 -> asleep[v] = 0; sliced[v] = 1 :: else fi; v++ :: else -> break od;
              v = 0; wrong = 0; waits = 0 }
          :: !wrong && waits ->
            d_step {
              conformed++;
              assert(conformed <= NW + faults);
              cell[QUOTA_CELL] = 0;
              do :: v < NW -> if :: asleep[v] && gone[v] == 0 && (lacks[watches[v]-1] & THE_QUOTA) != 0 -> asleep[v] = 0 :: else fi; v++ :: else -> break od;
              v = 0; waits = 0 }
          :: else -> break
       fi
  od }

init {
  byte i, k, c;
  atomic {
    i = 0;
    do :: i < NH ->
         k = 0; do :: k < NK -> if :: HAS(HOLDS(NW+i),k) -> c = 0; do :: c <= (k == 0) * (HW-1) -> cell[FIRST_CELL(k) + (k == 0) * (i*HW+c)] = NW+i+1; c++ :: else -> break od :: else fi; k++ :: else -> break od;
         i++
       :: else -> break od;
    i = 0; do :: i < NH -> run Holder(NW+i); i++ :: else -> break od;
    i = 0; do :: i < NW -> run Request(i); i++ :: else -> break od;
#if FAULTS || CANCELS || SLICES
    run Fate();
#endif
#if TAKEN
    run Taker();
#endif
    run Time();
    i = 0; k = 0; c = 0
  }
}
