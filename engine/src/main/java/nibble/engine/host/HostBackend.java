package nibble.engine.host;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.IntFunction;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Extents;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Workers;
import nibble.engine.host.fit.HostPairedMoments;
import nibble.engine.host.quantize.HostInputStatistics;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;

/** What the backends of the host share: matrices on the Java heap, weights used where they lie. */
abstract class HostBackend implements Backend {
    /** Measured speeds of products, by the description of the backend. */
    private static final Map<String, Double> PRODUCT_SPEEDS = new ConcurrentHashMap<>();

    /** Threads that results do not depend on. */
    abstract Workers workers();

    @Override
    public Matrix allocate(int rows, int columns) {
        return HostMatrix.zeros(rows, columns);
    }

    @Override
    public Matrix upload(float[] values, int rows, int columns) {
        return new HostMatrix(values.clone(), rows, columns);
    }

    @Override
    public Matrix allocateSingle(int rows, int columns) {
        return allocate(rows, columns);
    }

    @Override
    public Matrix uploadSingle(float[] values, int rows, int columns) {
        return upload(values, rows, columns);
    }

    @Override
    public Matrix allocateCodes(int rows, int columns, int head) {
        return HostCodeMatrix.zeros(rows, columns, head);
    }

    @Override
    public PlacedModel place(ModelWeights weights) {
        return PlacedModel.onHost(weights);
    }

    @Override
    public LayerFeed feed(IntFunction<DecoderLayer> read, int layers) {
        return new LayerFeed() {
            @Override
            public DecoderLayer layer(int index) {
                return read.apply(index);
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public InputStatistics statistics(int columns) {
        return new HostInputStatistics(this, columns);
    }

    @Override
    public PairedMoments pairedMoments(int columns, int residual) {
        return new HostPairedMoments(this, workers(), columns, residual);
    }

    @Override
    public LinearQuantizer quantizer(Weight placed, DenseWeight original, Path file, QuantizationSpec spec) {
        return new HostLinearQuantizer(original, file, spec, this, workers());
    }

    @Override
    public float[] download(Matrix matrix) {
        return HostMatrix.copy(matrix, 0, matrix.rows());
    }

    @Override
    public float[] download(Matrix matrix, int from, int count) {
        return HostMatrix.copy(matrix, from, count);
    }

    @Override
    public void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        HostMatrix.copyRows(source, from, count, target, firstRow);
    }

    @Override
    public void layerNormHeads(Matrix x, float[] weight, int headDim, double epsilon) {
        Extents.layerNormHeads(x, weight, headDim);
        float[] values = HostMatrix.values(x);
        // The same numbers, a head in each row.
        Matrix heads = new HostMatrix(values, values.length / headDim, headDim);
        float[] ones = new float[headDim];
        Arrays.fill(ones, 1);
        center(heads, heads);
        rmsNorm(heads, ones, epsilon, heads);
        for (int i = 0; i < values.length; i++) {
            values[i] *= weight[i % weight.length];
        }
    }

    @Override
    public void gatherColumns(Matrix source, int[] columns, Matrix target) {
        Extents.gatherColumns(source, columns, target);
        float[] from = HostMatrix.values(source);
        float[] to = HostMatrix.values(target);
        int width = source.columns();
        workers().forEach(source.rows(), row -> {
            for (int j = 0; j < columns.length; j++) {
                int column = columns[j];
                if (column != LayerOperations.KEPT) {
                    to[row * columns.length + j] = column < 0 ? 0 : from[row * width + column];
                }
            }
        });
    }

    /** Computes attention of several sequences, one after another. */
    final void attendApart(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        int length = query.rows() / sequences;
        int keyRows = keys.rows() / sequences;
        for (int s = 0; s < sequences; s++) {
            try (Matrix q = upload(download(query, s * length, length), length, query.columns());
                    Matrix k = upload(download(keys, s * keyRows, keyRows), keyRows, keys.columns());
                    Matrix v = upload(download(values, s * keyRows, keyRows), keyRows, values.columns());
                    Matrix o = allocate(length, out.columns())) {
                attention(shape, 1, q, firstPosition, k, v, o);
                copyRows(o, 0, length, out, s * length);
            }
        }
    }

    /**
     * Returns the best of what fits two seconds, and of enough calls that the compiler is warm even on a busy machine.
     * A process measures once for each kind of backend and number of threads.
     */
    @Override
    public double productFlopsPerSecond() {
        return PRODUCT_SPEEDS.computeIfAbsent(description(), _ -> measuredFlopsPerSecond());
    }

    private double measuredFlopsPerSecond() {
        int size = 256;
        float[] ones = new float[size * size];
        Arrays.fill(ones, 1f);
        try (Matrix a = uploadSingle(ones, size, size);
                Matrix b = uploadSingle(ones, size, size);
                Matrix out = allocateSingle(size, size)) {
            double best = 0;
            long begin = System.nanoTime();
            int calls = 0;
            do {
                long start = System.nanoTime();
                multiplyTransposed(a, b, out);
                best = Math.max(best, 2.0 * size * size * size / ((System.nanoTime() - start) / 1e9));
                calls++;
            } while (System.nanoTime() - begin < 2_000_000_000L || calls < 100);
            return best;
        }
    }
}
