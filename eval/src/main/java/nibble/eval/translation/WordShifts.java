package nibble.eval.translation;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Looks for the sequence of words whose move to another place saves most edits, as Tercom does. */
final class WordShifts {
    private static final int LONGEST = 10;
    private static final int FARTHEST = 50;
    private static final int MOST_TRIED = 1000;

    private final List<String> right;
    private int tried;

    WordShifts(List<String> right) {
        this.right = right;
    }

    /**
     * A move.
     *
     * @param gain edits saved
     * @param words the text after it
     */
    record Shift(int gain, int length, int from, int to, List<String> words) {
        /** Most gain, then the longest, then the first place it comes from, then the first it goes to. */
        boolean before(Shift other) {
            return gain != other.gain
                    ? gain > other.gain
                    : length != other.length
                            ? length > other.length
                            : from != other.from ? from < other.from : to < other.to;
        }
    }

    /** Whether so many moves were tried that no more are. */
    boolean isExhausted() {
        return tried >= MOST_TRIED;
    }

    /** The best move; null where none may be tried. */
    @Nullable
    Shift best(List<String> words) {
        EditPath path = EditPath.of(words, right);
        int[] align = new int[right.size()];
        boolean[] wrongHere = new boolean[words.size()];
        boolean[] wrongThere = new boolean[right.size()];
        int here = -1;
        int there = -1;
        for (EditPath.Step step : path.steps()) {
            here += step == EditPath.Step.PUT_IN ? 0 : 1;
            there += step == EditPath.Step.LEAVE_OUT ? 0 : 1;
            if (step != EditPath.Step.PUT_IN) {
                wrongHere[here] = step != EditPath.Step.KEEP;
            }
            if (step != EditPath.Step.LEAVE_OUT) {
                align[there] = here;
                wrongThere[there] = step != EditPath.Step.KEEP;
            }
        }
        Shift best = null;
        for (int from = 0; from < words.size(); from++) {
            for (int at = 0; at < right.size(); at++) {
                if (Math.abs(at - from) > FARTHEST) {
                    continue;
                }
                for (int length = 1; length <= LONGEST && matches(words, from, at, length); length++) {
                    boolean useful = any(wrongHere, from, length)
                            && any(wrongThere, at, length)
                            && !(from <= align[at] && align[at] < from + length);
                    if (useful) {
                        best = tried(best, words, from, at, length, align, path.edits());
                        if (isExhausted()) {
                            return best;
                        }
                    }
                }
            }
        }
        return best;
    }

    private boolean matches(List<String> words, int from, int at, int length) {
        int i = from + length - 1;
        int j = at + length - 1;
        return i < words.size() && j < right.size() && words.get(i).equals(right.get(j));
    }

    private static boolean any(boolean[] wrong, int from, int length) {
        for (int i = from; i < from + length; i++) {
            if (wrong[i]) {
                return true;
            }
        }
        return false;
    }

    private @Nullable Shift tried(
            @Nullable Shift before, List<String> words, int from, int at, int length, int[] align, int edits) {
        Shift best = before;
        int last = -1;
        for (int offset = -1; offset < length && at + offset < align.length; offset++) {
            int to = at + offset < 0 ? 0 : align[at + offset] + 1;
            if (to == last) {
                continue;
            }
            last = to;
            List<String> shifted = shifted(words, from, length, to);
            Shift one = new Shift(edits - EditPath.of(shifted, right).edits(), length, from, to, shifted);
            tried++;
            if (best == null || one.before(best)) {
                best = one;
            }
        }
        return best;
    }

    private static List<String> shifted(List<String> words, int from, int length, int to) {
        List<String> moved = words.subList(from, from + length);
        List<String> made = new ArrayList<>(words.size());
        int end = from + length;
        if (to < from) {
            made.addAll(words.subList(0, to));
            made.addAll(moved);
            made.addAll(words.subList(to, from));
            made.addAll(words.subList(end, words.size()));
        } else {
            int until = to > end ? to : Math.min(words.size(), to + length);
            made.addAll(words.subList(0, from));
            made.addAll(words.subList(end, until));
            made.addAll(moved);
            made.addAll(words.subList(until, words.size()));
        }
        return made;
    }
}
