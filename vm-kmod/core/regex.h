/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * regex.h - regular expressions as tables: a DFA whose transitions also say
 * where the ends of the groups go (a tagged DFA, after Laurikari). Made by
 * compiler/src/lower/regex.rs; one pass over the subject, no backtracking, so
 * the time is bounded by its length.
 *
 * Words of a table:
 *
 *   [0] number of states          [1] number of byte classes
 *   [2] number of tags            [3] start state
 *   [4] most items of a state     [5] words of the whole table
 *   [6] ..  64 words: class of each byte, four to a word, lowest byte first
 *   then for each state 5 words: items,
 *           accept anywhere: item or ~0, tags set;
 *           accept at the end: item or ~0, tags set
 *   then states x classes words: offset of the transition, 0 = no way on
 *   then the transitions: next state, then for each item of the next state
 *           two words: item of this state that it comes from (~0: a new
 *           start, all tags unset), tags set;
 *           the first of them leads to the start state from nowhere
 *
 * An item is a thread of the underlying automaton; it owns a row of tags.
 * Tag 2n is the start of group n, 2n + 1 its end; group 0 is the whole match.
 * "Tags set" is a mask of those that take the present position. With no tags
 * ([2] is 0) only the yes or no is computed and the first accept ends it.
 * Of several matches the leftmost wins, of these the longest.
 */
#ifndef STPVM_REGEX_H
#define STPVM_REGEX_H
#include "platform.h"

#define RX_HEADER      6
#define RX_STATES      (RX_HEADER + 64)
#define RX_STATE_WORDS 5
#define RX_NONE	       0xffffffffu
#define RX_MAX_TAGS    32
#define RX_UNSET       0xffffu /* a group that took no part */
/* most tags of all items of a state: bounds the scratch of a match */
#define RX_MAX_CELLS 1024

/* Room for the rows of two states. */
struct rx_scratch {
	u16 rows[2][RX_MAX_CELLS];
};

/* NULL if the table is sound, else what is wrong with it. What is looked at is taken
 * off `work`; where that is used up it is 0 afterwards and the answer says nothing. */
const char *rx_check(const u32 *w, u32 count, u64 *work);

/*
 * Whether a match is in s[0..len). On success the tags of the match are in
 * tags[] (RX_UNSET where a group took no part); the table must have passed
 * rx_check, len must be below RX_UNSET.
 */
bool rx_match(const u32 *w, const char *s, u32 len, struct rx_scratch *x, u16 *tags);

#endif
