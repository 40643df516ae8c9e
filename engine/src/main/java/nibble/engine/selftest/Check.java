package nibble.engine.selftest;

/**
 * Checks one operation on all its sizes.
 *
 * @param cases sizes tried
 * @param values results compared
 * @param worst largest error, as a share of the error that the arithmetic allows there; NaN if a result was not a
 *     number where the reference's was
 * @param where the case with the largest error
 */
public record Check(String operation, int cases, long values, double worst, String where) {
    public boolean passed() {
        return worst <= 1;
    }
}
