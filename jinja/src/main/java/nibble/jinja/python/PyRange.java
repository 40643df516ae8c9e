package nibble.jinja.python;

/**
 * Holds Python's {@code range}.
 *
 * @param start its first number
 * @param stop the first number that it does not reach
 * @param step never 0
 */
public record PyRange(long start, long stop, long step) {
    /** Returns how many numbers it holds. */
    public int length() {
        long span = step > 0 ? stop - start : start - stop;
        long stride = Math.abs(step);
        return span <= 0 ? 0 : (int) Math.min(Integer.MAX_VALUE, (span - 1) / stride + 1);
    }

    long at(int index) {
        return start + index * step;
    }
}
