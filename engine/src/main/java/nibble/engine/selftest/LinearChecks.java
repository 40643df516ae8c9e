package nibble.engine.selftest;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.DType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.stored.FewRows;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;

/** Products with weights of every kind, of the host and placed on the device. */
final class LinearChecks {
    /** Unit roundoff of fp32. */
    private static final double U = 0x1p-24;
    /** Rows that a card multiplies by 4-bit weights, and by blocks, as they are stored; it expands them for more. */
    private static final int MOST_FUSED_ROWS = 256;

    private static final int MOST_FUSED_ROWS_OF_BLOCKS = 32;

    private final ReferenceBackend reference = new ReferenceBackend();
    private final Backend backend;
    private final boolean cuda;
    /** Unit roundoff of activations. */
    private final double activation;

    private final Operands operands = new Operands(13);

    /** @param activation unit roundoff of the backend's activations */
    LinearChecks(Backend backend, double activation) {
        this.backend = backend;
        this.cuda = backend.kind() == DeviceKind.CUDA;
        this.activation = activation;
    }

    List<Check> run() {
        List<Check> checks = new ArrayList<>(linears());
        checks.add(addedLinears());
        checks.add(blockLinears());
        checks.add(blockEmbeddings());
        if (cuda) {
            checks.add(expandedBlocks());
        }
        checks.addAll(storedLinears());
        checks.add(fusedLinears());
        return checks;
    }

    private Backend side(int b) {
        return b == 0 ? reference : backend;
    }

    private List<Weight> weights() {
        List<Weight> weights = new ArrayList<>();
        for (DType type : new DType[] {DType.F16, DType.BF16, DType.F32}) {
            for (int[] s : new int[][] {{1, 1}, {31, 256}, {33, 17}, {7, 5}, {101, 263}, {37, 600}, {5, 2049}}) {
                weights.add(operands.dense(type, s[0], s[1]));
            }
        }
        for (int group : new int[] {32, 64, 128, -1}) {
            weights.add(operands.quantized(40, 384, group));
            weights.add(operands.quantized(264, 640, group));
        }
        weights.add(operands.quantized(40, 384, 128, 8));
        if (cuda) {
            // Rows that fill no tile, columns that fill no unit: a card cuts both into pieces.
            weights.add(operands.quantized(8, 32, 32));
            weights.add(operands.quantized(24, 352, 32));
            weights.add(operands.quantized(1096, 2080, 32));
            weights.add(operands.quantized(520, 1408, 128));
            weights.add(operands.quantized(136, 1056, -1));
        }
        return weights;
    }

    /** Each number of rows that a card has a kernel for takes a while to compile. */
    private int[] rows(Weight weight) {
        return !cuda || !(weight instanceof QuantizedWeight quantized)
                ? new int[] {1, 2, 3, 8, 67}
                : quantized.linear().groupSize() == 128
                        ? new int[] {1, 2, 3, 8, 9, 16, 23, 33, 50, 64, 67, 200}
                        : new int[] {1, 3, 16, 67, 200};
    }

    private List<Check> linears() {
        Comparison dense = new Comparison("linear, dense weights");
        Comparison nibbles = new Comparison("linear, quantized weights");
        for (Weight weight : weights()) {
            for (int rows : rows(weight)) {
                linear(weight instanceof QuantizedWeight ? nibbles : dense, weight, rows, false);
            }
        }
        linear(dense, operands.dense(DType.F16, 40, 31), 600, false);
        return List.of(dense.result(), nibbles.result());
    }

    /** Blocks of GGUF: rows that are no multiple of a tile, in order and interleaved. */
    private Check blockLinears() {
        Comparison blocks = new Comparison("linear, blocks of GGUF");
        for (GgufType type : GgufType.values()) {
            if (!type.isRead() || type.isPlain()) {
                continue;
            }
            int[][] shapes = type.blockElements() == 32
                    ? new int[][] {{1, 32, 0}, {24, 96, 8}, {37, 576, 0}, {130, 1024, 0}}
                    : new int[][] {{1, 256, 0}, {24, 768, 8}, {37, 1536, 0}};
            for (int[] s : shapes) {
                Weight weight = operands.blocks(type, s[0], s[1], s[2]);
                // Each number of rows that a card has a kernel for takes a while to compile.
                int few = 2 + type.ordinal() % 7;
                int many = type.ordinal() % 2 == 0 ? 19 : MOST_FUSED_ROWS_OF_BLOCKS + 1;
                for (int rows : cuda ? new int[] {1, few, many} : new int[] {1, 2, 3, 16}) {
                    linear(blocks, weight, rows, false);
                }
                linear(blocks, weight, few, true);
            }
        }
        return blocks.result();
    }

    private Check blockEmbeddings() {
        Comparison comparison = new Comparison("embed, blocks of GGUF");
        for (GgufType type : GgufType.values()) {
            if (!type.isRead() || type.isPlain()) {
                continue;
            }
            Weight table = operands.blocks(type, 37, type.blockElements() == 32 ? 352 : 512, 0);
            int[] ids = {36, 0, 17, 36, 9};
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix out = side(b).upload(
                                operands.values(ids.length * table.inFeatures()), ids.length, table.inFeatures())) {
                    side(b).embed(table, ids, out);
                    results[b] = side(b).download(out);
                }
            }
            // Rounded once to the precision of activations; fp16's smallest step is 2^-24.
            float[] expected = results[0];
            comparison.compare(
                    table.name(),
                    results[1],
                    expected,
                    i -> cuda ? Math.max(activation * Math.abs(expected[i]), 0x1p-25) : 0);
        }
        return comparison.result();
    }

    /** Products of a card with the identity, which are the weights that many rows are multiplied by. */
    private Check expandedBlocks() {
        Comparison comparison = new Comparison("weights of blocks of GGUF");
        for (GgufType type : GgufType.values()) {
            if (!type.isRead() || type.isPlain()) {
                continue;
            }
            for (int headDim : new int[] {0, 8}) {
                int k = type.blockElements() == 32 ? 288 : 512;
                Weight weight = operands.blocks(type, headDim == 0 ? 37 : 24, k, headDim);
                float[] identity = new float[k * k];
                for (int i = 0; i < k; i++) {
                    identity[i * k + i] = 1;
                }
                float[][] results = new float[2][];
                for (int b = 0; b < 2; b++) {
                    int n = weight.outFeatures();
                    try (Matrix x = side(b).upload(identity, k, k);
                            Matrix out = side(b).upload(operands.values(k * n), k, n)) {
                        side(b).linear(weight, x, out);
                        results[b] = side(b).download(out);
                    }
                }
                float[] expected = results[0];
                comparison.compare(
                        weight.name() + (headDim == 0 ? "" : ", interleaved"),
                        results[1],
                        expected,
                        i -> Math.max(activation * Math.abs(expected[i]), 0x1p-25));
            }
        }
        return comparison.result();
    }

    /** Codes as their files hold them. */
    private List<Check> storedLinears() {
        Comparison awq = new Comparison("linear, AWQ as stored");
        for (int[] s : new int[][] {{8, 32, 32}, {136, 256, 64}, {40, 384, -1}, {1160, 128, 128}, {4104, 256, 128}}) {
            Weight weight = operands.awq(s[0], s[1], s[2]);
            for (int rows : new int[] {1, 3, 16, 67}) {
                linear(awq, weight, rows, false);
            }
        }
        Comparison codes = new Comparison("linear, GPTQ and compressed-tensors");
        for (int[] s : new int[][] {{8, 32, 32}, {136, 256, 64}, {40, 384, -1}, {24, 40, -1}, {264, 256, 128}}) {
            if (cuda && s[1] % 32 != 0) {
                continue;
            }
            for (boolean byRows : new boolean[] {true, false}) {
                Weight weight = operands.stored(s[0], s[1], s[2], byRows);
                for (int rows : new int[] {1, 3, 16, 67}) {
                    linear(codes, weight, rows, false);
                }
            }
        }
        Comparison bytes = new Comparison("linear, GPTQ and compressed-tensors of 8 bits");
        for (int[] s : new int[][] {{8, 32, 32}, {136, 256, 64}, {48, 384, -1}, {24, 44, -1}, {264, 384, 128}}) {
            if (cuda && s[1] % 32 != 0) {
                continue;
            }
            for (boolean byRows : new boolean[] {true, false}) {
                Weight weight = operands.stored(s[0], s[1], s[2], byRows, 8);
                for (int rows : new int[] {1, 3, 16, 67}) {
                    linear(bytes, weight, rows, false);
                }
            }
        }
        return List.of(awq.result(), codes.result(), bytes.result());
    }

    private Check addedLinears() {
        Comparison comparison = new Comparison("addLinear");
        for (Weight weight : List.of(operands.dense(DType.F16, 33, 80), operands.quantized(40, 384, 128))) {
            for (int rows : new int[] {1, 5, 130}) {
                linear(comparison, weight, rows, true);
            }
        }
        return comparison.result();
    }

    private void linear(Comparison comparison, Weight weight, int rows, boolean add) {
        int n = weight.outFeatures();
        int k = weight.inFeatures();
        float[] x = operands.values(rows * k);
        float[] before = operands.values(rows * n);
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            try (Matrix in = side(b).upload(x, rows, k);
                    Matrix out = side(b).upload(before, rows, n)) {
                if (add) {
                    side(b).addLinear(weight, in, out);
                } else {
                    side(b).linear(weight, in, out);
                }
                results[b] = side(b).download(out);
            }
        }
        compareProducts(comparison, weight, x, rows, results, add ? before : new float[rows * n]);
    }

    private void compareProducts(
            Comparison comparison, Weight weight, float[] x, int rows, float[][] results, float[] before) {
        int n = weight.outFeatures();
        int k = weight.inFeatures();
        float[] w = new float[n * k];
        for (int row = 0; row < n; row++) {
            WeightRows.read(weight, row, 0, k, w, row * k);
        }
        float[] expected = results[0];
        boolean bytes = backend instanceof VectorBackend host && host.multipliesBytes(weight, rows);
        // One row: both multiply by (code - zero), then by the scale, without rounding their product to fp16.
        // Very many rows: a card rounds blocks' weights to fp16.
        boolean rounded = cuda
                ? weight instanceof BlockWeight
                        ? rows > MOST_FUSED_ROWS_OF_BLOCKS
                        : !(weight instanceof DenseWeight) && rows == 1
                : (weight instanceof AwqWeight || weight instanceof StoredWeight)
                        && (rows <= FewRows.MOST_COMPILED_ROWS || bytes);
        double weightRounding = rounded ? 0x1p-11 : 0;
        comparison.compare(weight.name() + " rows " + rows, results[1], expected, i -> {
            double size = Comparison.sizeOfProduct(x, i / n * k, w, i % n * k, k);
            double offsets = weight instanceof DenseWeight || weight instanceof QuantizedWeight
                    ? 0
                    : (k + 3) * U * sizeOfOffsets(x, i / n * k, w, i % n * k, k);
            double rounding = activation * (Math.abs(expected[i]) + Math.abs(before[i]));
            return (k + 3) * U * (size + Math.abs(before[i]))
                    + weightRounding * size
                    + 2 * rounding
                    + 1e-7
                    + offsets
                    + (rounded && weight instanceof BlockWeight ? 0x1p-25 * sizeOfInputs(x, i / n * k, k) : 0)
                    + (bytes ? sizeOfSteps(x, i / n * k, w, i % n * k, k) : 0);
        });
    }

    /**
     * {@code Σ |x| |offset|} where weights are code · scale + offset and sums of codes and of x are rounded separately.
     * A group's offset is at most twice its largest weight, unless its codes are nearly all alike.
     */
    private static double sizeOfOffsets(float[] x, int xOffset, float[] w, int wOffset, int k) {
        double size = 0;
        for (int from = 0; from < k; from += 32) {
            double largest = 0;
            double sum = 0;
            for (int i = from; i < Math.min(k, from + 32); i++) {
                largest = Math.max(largest, Math.abs(w[wOffset + i]));
                sum += Math.abs(x[xOffset + i]);
            }
            size += 2 * largest * sum;
        }
        return size;
    }

    /** {@code Σ |x|}: fp16 weights below its normal numbers are wrong by half its smallest step. */
    private static double sizeOfInputs(float[] x, int offset, int k) {
        double size = 0;
        for (int i = 0; i < k; i++) {
            size += Math.abs(x[offset + i]);
        }
        return size;
    }

    /** {@code Σ |w| step / 2} where x is rounded to whole steps, 1/127 of the largest of its 32. */
    private static double sizeOfSteps(float[] x, int xOffset, float[] w, int wOffset, int k) {
        double size = 0;
        for (int from = 0; from < k; from += 32) {
            double largest = 0;
            double sum = 0;
            for (int i = from; i < Math.min(k, from + 32); i++) {
                largest = Math.max(largest, Math.abs(x[xOffset + i]));
                sum += Math.abs(w[wOffset + i]);
            }
            size += sum * largest / 254 * (1 + 4 * 127 * U);
        }
        return size;
    }

    /** The weights of a placed layer, whose parts a device may keep in one matrix. */
    private Check fusedLinears() {
        Comparison comparison = new Comparison("linears of a placed layer");
        for (int group : new int[] {0, 32, 128, -1}) {
            int hidden = 256;
            int kv = 72;
            int mlp = 328;
            int in = group == 128 || group == 32 ? 384 : 352;
            DecoderLayer layer = new DecoderLayer(
                    operands.norm(hidden),
                    weight(group, hidden, hidden),
                    weight(group, kv, hidden),
                    weight(group, kv, hidden),
                    weight(group, hidden, in),
                    operands.norm(hidden),
                    weight(group, mlp, hidden),
                    weight(group, mlp, hidden),
                    weight(group, hidden, in));
            try (LayerFeed feed = backend.feed(_ -> layer, 1)) {
                DecoderLayer there = feed.layer(0);
                for (int rows : cuda ? new int[] {1, 33, MOST_FUSED_ROWS + 8} : new int[] {1, 130}) {
                    group(
                            comparison,
                            rows,
                            List.of(layer.q(), layer.k(), layer.v()),
                            List.of(there.q(), there.k(), there.v()));
                    group(comparison, rows, List.of(layer.o()), List.of(there.o()));
                    group(comparison, rows, List.of(layer.gate(), layer.up()), List.of(there.gate(), there.up()));
                    group(comparison, rows, List.of(layer.up()), List.of(there.up()));
                    group(comparison, rows, List.of(layer.v()), List.of(there.v()));
                }
            }
        }
        return comparison.result();
    }

    private Weight weight(int group, int out, int in) {
        return group == 0 ? operands.dense(DType.F16, out, in) : operands.quantized(out, in, group);
    }

    private void group(Comparison comparison, int rows, List<Weight> here, List<Weight> there) {
        int k = here.getFirst().inFeatures();
        float[] x = operands.values(rows * k);
        List<Matrix> outs = new ArrayList<>();
        for (Weight weight : there) {
            outs.add(backend.allocate(rows, weight.outFeatures()));
        }
        try (Matrix in = backend.upload(x, rows, k)) {
            backend.linears(there, in, outs);
        }
        for (int i = 0; i < here.size(); i++) {
            float[][] results = new float[2][];
            results[1] = backend.download(outs.get(i));
            outs.get(i).close();
            Matrix expected = reference.allocate(rows, here.get(i).outFeatures());
            reference.linear(here.get(i), reference.upload(x, rows, k), expected);
            results[0] = reference.download(expected);
            compareProducts(comparison, here.get(i), x, rows, results, new float[results[0].length]);
        }
    }
}
