package nibble.engine.cuda.group;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import nibble.engine.cuda.fit.CudaFit;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.cuda.quantize.CudaLinearQuantizer;
import nibble.engine.cuda.quantize.FittedRows;
import nibble.engine.cuda.quantize.InputLacks;
import nibble.engine.cuda.quantize.PieceFit;
import nibble.engine.cuda.quantize.QuantizationScratch;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes a linear that lies on several cards. They share the candidates of a search, and else the rows, in the
 * pieces that one card would work on: so every product has the shape it would have there, and the same bits. Owns the
 * quantizers.
 */
final class CudaGroupQuantizer implements LinearQuantizer {
    private final CudaGroup group;
    private final List<CudaLinearQuantizer> whole;
    /** Where the rows of each card begin, and the end of the last. */
    private final int[] firstRows;

    private final List<CudaLinearQuantizer> pieces = new ArrayList<>();

    CudaGroupQuantizer(CudaGroup group, List<CudaLinearQuantizer> whole) {
        this.group = group;
        this.whole = whole;
        int rows = outFeatures();
        int chunk = QuantizationScratch.rows(rows);
        int chunks = (rows + chunk - 1) / chunk;
        firstRows = new int[group.size() + 1];
        for (int i = 0; i <= group.size(); i++) {
            firstRows[i] = Math.min(rows, i * chunks / group.size() * chunk);
        }
        for (int i = 0; i < group.size(); i++) {
            pieces.add(whole.get(i).piece(firstRows[i], firstRows[i + 1] - firstRows[i]));
        }
    }

    @Override
    public int outFeatures() {
        return whole.getFirst().outFeatures();
    }

    @Override
    public int inFeatures() {
        return whole.getFirst().inFeatures();
    }

    @Override
    public double[] relativeMagnitudes() {
        group.member(0).makeCurrent();
        return whole.getFirst().relativeMagnitudes();
    }

    @Override
    public double[] errors(Basis basis, float @Nullable [] limits, InputStatistics input) {
        List<Correlations> c = of(input);
        return concatenated(onRows((piece, i) -> piece.errors(rows(basis, i), rows(limits, i), c.get(i))));
    }

    @Override
    public double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach) {
        List<Correlations> c = of(input);
        List<double[]> found = group.onEach(i -> {
            List<float @Nullable []> mine = new ArrayList<>();
            for (int candidate = i; candidate < columns.size(); candidate += group.size()) {
                mine.add(columns.get(candidate));
            }
            return whole.get(i).losses(mine, c.get(i), () -> {});
        });
        double[] losses = new double[columns.size()];
        for (int candidate = 0; candidate < losses.length; candidate++) {
            losses[candidate] = found.get(candidate % group.size())[candidate / group.size()];
            onEach.run();
        }
        return losses;
    }

    @Override
    public double outputSize(InputStatistics input) {
        List<Correlations> c = of(input);
        return Arrays.stream(concatenated(onRows((piece, i) -> piece.outputSizes(c.get(i)))))
                .sum();
    }

    @Override
    public double weightError(Basis basis, float @Nullable [] limits) {
        return CudaLinearQuantizer.weightError(
                onRows((piece, i) -> piece.weightErrors(rows(basis, i), rows(limits, i))));
    }

    @Override
    public Clip clip(Basis basis, InputStatistics input) {
        List<Correlations> c = of(input);
        List<Clip> found = onRows((piece, i) -> piece.clip(rows(basis, i), c.get(i)));
        return new Clip(
                joined(found.stream().map(Clip::limits).toList()),
                joined(found.stream().map(Clip::shares).toList()));
    }

    @Override
    public QuantizedLinear quantize(Basis basis, float @Nullable [] limits) {
        QuantizedLinear rounded = whole.getFirst().blank();
        onRows((piece, i) -> {
            piece.quantizeInto(rows(basis, i), rows(limits, i), rounded);
            return i;
        });
        return rounded;
    }

    @Override
    public Fitted fit(Basis basis, PairedMoments moments, FitSteps steps) {
        if (!(moments instanceof CudaGroupMoments there)) {
            throw new IllegalArgumentException("moments of other devices");
        }
        List<InputLacks> inputs = there.in(basis.columns());
        double[] rounded = errors(basis, null, there.input());
        QuantizedLinear fitted = whole.getFirst().blank();
        short[] plain = new short[fitted.scales().length];
        @Nullable PieceFit[] fits = new PieceFit[group.size()];
        try {
            List<List<double[]>> solved = onRows((piece, i) -> {
                PieceFit fit = new PieceFit(piece, rows(basis, i), inputs.get(i), steps, plain);
                fits[i] = fit;
                return fit.solve();
            });
            double share = CudaFit.share(flat(solved));
            List<CudaFit.Piece> made =
                    flat(onRows((_, i) -> Objects.requireNonNull(fits[i]).run(share, fitted)));
            return FittedRows.of(fitted, plain, rounded, there.input().rows(), share, made);
        } finally {
            group.onEach(i -> {
                PieceFit fit = fits[i];
                if (fit != null) {
                    fit.close();
                }
                return i;
            });
        }
    }

    private static <T> List<T> flat(List<List<T>> lists) {
        return lists.stream().flatMap(List::stream).toList();
    }

    /** The results of the cards that have rows. */
    private <T> List<T> onRows(BiFunction<CudaLinearQuantizer, Integer, T> task) {
        return group
                .onEach(i -> firstRows[i] == firstRows[i + 1] ? List.<T>of() : List.of(task.apply(pieces.get(i), i)))
                .stream()
                .flatMap(List::stream)
                .toList();
    }

    private Basis rows(Basis basis, int member) {
        return new Basis(rows(basis.rows(), member), basis.columns());
    }

    /** A member's share of an array with as many elements for each row. */
    private float @Nullable [] rows(float @Nullable [] values, int member) {
        if (values == null) {
            return null;
        }
        int each = values.length / outFeatures();
        return Arrays.copyOfRange(values, firstRows[member] * each, firstRows[member + 1] * each);
    }

    private static double[] concatenated(List<double[]> parts) {
        return parts.stream().flatMapToDouble(Arrays::stream).toArray();
    }

    private static float[] joined(List<float[]> parts) {
        float[] all = new float[parts.stream().mapToInt(part -> part.length).sum()];
        int at = 0;
        for (float[] part : parts) {
            System.arraycopy(part, 0, all, at, part.length);
            at += part.length;
        }
        return all;
    }

    private static List<Correlations> of(InputStatistics input) {
        if (input instanceof CudaGroupStatistics found) {
            return found.correlations();
        }
        throw new IllegalArgumentException("statistics of other devices");
    }

    @Override
    public void close() {
        whole.forEach(CudaLinearQuantizer::close);
    }
}
