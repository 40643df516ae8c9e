package nibble.engine.cuda.fit;

import java.util.stream.IntStream;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.quantize.FitSteps;
import org.jspecify.annotations.Nullable;

/**
 * Holds C of an input on the card, a mean over tokens in the basis that its linears are rounded in, with all that the
 * steps of a fit need of it. Borrows C and the correlations; owns the rest.
 *
 * <p>Here columns stand in the reversed order of their activation, the most active one last, since the factor of C
 * itself serves that order: see {@link MomentFactor}.
 */
public final class FitMoment implements AutoCloseable {
    /**
     * Tokens for each column, below which C may have eigenvalues of 0. Rounding to 11 bits would move these below 0 by
     * up to about a hundredth of the mean, where a fit would find a loss below 0.
     */
    private static final int FEW = 2;

    /** What C's diagonal then grows by. */
    private static final float RIDGE = 0.01f;

    final FitCard card;
    final int columns;
    /** C [n, n] fp32, with the 11 bits that tensor cores use. */
    final long moment;
    /** C as correlations [n, n] fp16, of which the diagonal blocks of groups are used. */
    final long correlations;
    /** √C_ii [n]. */
    final DeviceMemory.Buffer deviations;

    final float largestDeviation;
    /** Columns in the reversed order of their activation [n]. */
    final DeviceMemory.Buffer order;

    final int[] orderOnHost;
    /** √H_ii in that order [n], of the damped H. */
    final DeviceMemory.Buffer scales;

    final float[] inverseScalesOnHost;
    /** 1 / √H_ii in that order [n]. */
    final DeviceMemory.Buffer inverseScales;

    /** What damping added to H_ii, as a share of it, in that order [n]. */
    final DeviceMemory.Buffer dampedShares;

    final MomentFactor factor;

    /**
     * Brings C into a basis, in its place, and factorizes it.
     *
     * @param sums C as a sum over tokens [n, n] fp32, from the diagonal on
     * @param correlations as {@code moments.cu} makes them, of any basis
     * @param basis factors of the linears' columns, which divide the input; null for ones
     */
    public FitMoment(
            CudaResources resources,
            DeviceMemory.Buffer sums,
            long correlations,
            int n,
            long tokens,
            float @Nullable [] basis) {
        this.card = new FitCard(resources);
        this.columns = n;
        this.moment = sums.address();
        this.correlations = correlations;
        bringIntoBasis(tokens, basis);
        float[] diagonal = diagonal();
        this.orderOnHost = IntStream.range(0, n)
                .boxed()
                .sorted((a, b) -> Float.compare(diagonal[b], diagonal[a]))
                .mapToInt(i -> i)
                .toArray();
        for (int i = 0; i < n / 2; i++) {
            int swapped = orderOnHost[i];
            orderOnHost[i] = orderOnHost[n - 1 - i];
            orderOnHost[n - 1 - i] = swapped;
        }
        double mean = 0;
        float largest = 0;
        float[] roots = new float[n];
        for (int i = 0; i < n; i++) {
            mean += (double) diagonal[i] / n;
            roots[i] = (float) Math.sqrt(diagonal[i]);
            largest = Math.max(largest, roots[i]);
        }
        double least = mean > 0 ? 1e-6 * mean : 1;
        float[] own = new float[n];
        float[] shares = new float[n];
        this.inverseScalesOnHost = new float[n];
        for (int i = 0; i < n; i++) {
            double value = diagonal[orderOnHost[i]];
            double added = FitSteps.DAMPING * value + least;
            own[i] = (float) Math.sqrt(value + added);
            inverseScalesOnHost[i] = (float) (1 / Math.sqrt(value + added));
            shares[i] = (float) (added / (value + added));
        }
        this.largestDeviation = largest;
        this.deviations = card.brought(roots, "deviations of inputs");
        this.order = card.brought(orderOnHost, "an order of columns");
        this.scales = card.brought(own, "deviations of inputs");
        this.inverseScales = card.brought(inverseScalesOnHost, "deviations of inputs");
        this.dampedShares = card.brought(shares, "deviations of inputs");
        this.factor = new MomentFactor(card, moment, order.address(), inverseScales.address(), n);
        float ridge = tokens < FEW * (long) n ? RIDGE : 0;
        card.momentElements("to_tensor_precision", n, (n + 3) / 4, moment, ridge, n);
    }

    private void bringIntoBasis(long tokens, float @Nullable [] basis) {
        float mean = 1f / Math.max(1, tokens);
        if (basis == null) {
            card.momentTiles("moment_in_basis", columns, moment, 0L, mean, columns);
            return;
        }
        float[] factors = new float[columns];
        for (int i = 0; i < columns; i++) {
            factors[i] = 1 / basis[i];
        }
        try (DeviceMemory.Buffer there = card.brought(factors, "factors of columns")) {
            card.momentTiles("moment_in_basis", columns, moment, there.address(), mean, columns);
        }
    }

    private float[] diagonal() {
        try (DeviceMemory.Buffer there = card.allocate(Float.BYTES * (long) columns, "deviations of inputs")) {
            card.momentElements("diagonal", 1, columns, moment, columns, there.address());
            return card.card.transfers().floats(there, columns);
        }
    }

    @Override
    public void close() {
        factor.close();
        deviations.close();
        order.close();
        scales.close();
        inverseScales.close();
        dampedShares.close();
    }
}
