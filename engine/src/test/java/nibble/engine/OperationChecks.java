package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Random;
import nibble.convert.DType;
import nibble.convert.Shape;
import nibble.convert.TensorView;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Every operation of {@link VectorBackend} against {@link ReferenceBackend} on awkward sizes. Sums of n products may differ
 * by (n + 2) u Σ|a||b|, u = 2^-24 (Higham, Accuracy and Stability, 3.1); the other bounds are made of that one.
 *
 * <p>Also a program, so that a JVM of its own can run it with narrower vectors.
 */
final class OperationChecks {
    private static final double U = 0x1p-24;
    /** Relative error of the vector exp, with some air. */
    private static final double EXP_ERROR = 3e-7;

    private final Backend reference = new ReferenceBackend();
    private final Backend vector = new VectorBackend(2);
    private final Random random = new Random(7);

    public static void main(String[] arguments) {
        OperationChecks checks = new OperationChecks();
        checks.all();
        System.out.println("checked " + checks.vector.description());
        checks.vector.close();
    }

    void all() {
        linears();
        matrixProducts();
        secondMoments();
        attentions();
        elementwise();
        logProbabilities();
    }

    void linears() {
        int[][] sizes = {{1, 1, 1}, {1, 31, 256}, {2, 33, 17}, {3, 64, 257}, {4, 7, 5}, {5, 32, 96}, {13, 101, 263},
            {67, 37, 600}, {1, 5, 2049}, {600, 40, 31}};
        for (int[] s : sizes) {
            for (DType type : new DType[] {DType.F16, DType.BF16, DType.F32}) {
                linear(new DenseWeight(tensor(type, s[1], s[2])), s[0]);
            }
        }
        for (int group : new int[] {32, 64, 128, -1}) {
            for (int rows : new int[] {1, 3, 4, 19}) {
                linear(new QuantizedWeight(quantized(40, 384, group)), rows);
            }
        }
    }

    private void linear(Weight weight, int rows) {
        int n = weight.outFeatures();
        int k = weight.inFeatures();
        float[] x = RandomModel.values(random, rows * k);
        float[] expected = new float[0];
        for (Backend backend : new Backend[] {reference, vector}) {
            Matrix out = backend.allocate(rows, n);
            backend.linear(weight, backend.upload(x, rows, k), out);
            if (backend == reference) {
                expected = backend.download(out);
                continue;
            }
            float[] w = new float[n * k];
            for (int row = 0; row < n; row++) {
                if (weight instanceof QuantizedWeight(QuantizedLinear linear)) {
                    linear.dequantize(row, w, row * k);
                } else {
                    WeightRows.read(weight, row, 0, k, w, row * k);
                }
            }
            compareProducts("linear " + weight.name() + " rows " + rows, backend.download(out), expected, x, rows, w, n, k);
        }
    }

    void matrixProducts() {
        for (int[] s : new int[][] {{1, 3, 7}, {9, 33, 300}, {40, 65, 129}}) {
            float[] a = RandomModel.values(random, s[0] * s[2]);
            float[] b = RandomModel.values(random, s[1] * s[2]);
            Matrix expected = reference.allocate(s[0], s[1]);
            reference.multiplyTransposed(reference.upload(a, s[0], s[2]), reference.upload(b, s[1], s[2]), expected);
            Matrix found = vector.allocate(s[0], s[1]);
            vector.multiplyTransposed(vector.upload(a, s[0], s[2]), vector.upload(b, s[1], s[2]), found);
            compareProducts(
                    "multiplyTransposed", vector.download(found), reference.download(expected), a, s[0], b, s[1], s[2]);
        }
    }

    private void compareProducts(
            String what, float[] found, float[] expected, float[] a, int m, float[] b, int n, int k) {
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                double size = 0;
                for (int l = 0; l < k; l++) {
                    size += Math.abs((double) a[i * k + l] * b[j * k + l]);
                }
                assertThat(Math.abs((double) found[i * n + j] - expected[i * n + j]))
                        .as("%s [%d, %d, %d] at %d, %d", what, m, n, k, i, j)
                        .isLessThanOrEqualTo((k + 2) * U * size);
            }
        }
    }

    void secondMoments() {
        for (int[] s : new int[][] {{1, 5}, {300, 33}, {513, 64}, {7, 131}}) {
            float[] x = RandomModel.values(random, s[0] * s[1]);
            Matrix expected = reference.allocate(s[1], s[1]);
            Matrix found = vector.allocate(s[1], s[1]);
            for (int twice = 0; twice < 2; twice++) {
                reference.addSecondMoment(reference.upload(x, s[0], s[1]), expected);
                vector.addSecondMoment(vector.upload(x, s[0], s[1]), found);
            }
            float[] e = reference.download(expected);
            float[] f = vector.download(found);
            for (int i = 0; i < s[1]; i++) {
                for (int j = 0; j < s[1]; j++) {
                    double size = 0;
                    for (int t = 0; t < s[0]; t++) {
                        size += 2 * Math.abs((double) x[t * s[1] + i] * x[t * s[1] + j]);
                    }
                    assertThat(Math.abs((double) f[i * s[1] + j] - e[i * s[1] + j]))
                            .as("second moment %d x %d at %d, %d", s[0], s[1], i, j)
                            .isLessThanOrEqualTo((2 * s[0] + 3) * U * size);
                    assertThat(f[i * s[1] + j]).isEqualTo(f[j * s[1] + i]);
                }
            }
        }
    }

    void attentions() {
        // heads, kv heads, head size, queries, first position
        int[][] cases = {{1, 1, 2, 1, 0}, {4, 2, 24, 3, 5}, {6, 2, 8, 70, 0}, {2, 2, 64, 131, 0}, {3, 1, 36, 5, 300},
            {4, 4, 128, 66, 259}, {2, 1, 34, 520, 0}};
        for (int[] c : cases) {
            AttentionShape shape = new AttentionShape(c[0], c[1], c[2]);
            int keys = c[3] + c[4] + 3;
            float[] q = RandomModel.values(random, c[3] * shape.queryColumns());
            float[] k = RandomModel.values(random, keys * shape.keyColumns());
            float[] v = RandomModel.values(random, keys * shape.keyColumns());
            float[] expected = attend(reference, shape, q, c[3], c[4], k, v, keys);
            float[] found = attend(vector, shape, q, c[3], c[4], k, v, keys);
            double largest = 0;
            for (float value : v) {
                largest = Math.max(largest, Math.abs(value));
            }
            // Scores of size s are wrong by at most (d + 3) u s, so are logarithms of weights; |q·k| <= |q||k| < 4 d.
            double scoreError = (c[2] + 3) * U * 4 * c[2] / Math.sqrt(c[2]);
            double bound = (2 * (scoreError + EXP_ERROR) + (keys + 4) * U) * largest;
            closeTo("attention " + java.util.Arrays.toString(c), found, expected, bound);
        }
    }

    private static float[] attend(
            Backend b, AttentionShape shape, float[] q, int rows, int first, float[] k, float[] v, int keys) {
        Matrix out = b.allocate(rows, shape.queryColumns());
        b.attention(
                shape,
                1,
                b.upload(q, rows, shape.queryColumns()),
                first,
                b.upload(k, keys, shape.keyColumns()),
                b.upload(v, keys, shape.keyColumns()),
                out);
        return b.download(out);
    }

    void elementwise() {
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] x = RandomModel.values(random, s[0] * s[1]);
            float[] y = RandomModel.values(random, s[0] * s[1]);
            x[0] = 95; // exp(-x) leaves the range of floats on either side
            x[x.length / 2] = -95;
            float[] weight = RandomModel.norm(random, s[1]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                Backend backend = b == 0 ? reference : vector;
                Matrix a = backend.upload(x, s[0], s[1]);
                Matrix c = backend.upload(y, s[0], s[1]);
                backend.swiglu(a, c, c);
                backend.add(a, c);
                backend.rmsNorm(c, weight, 1e-5, c);
                results[b] = backend.download(c);
            }
            for (int i = 0; i < x.length; i++) {
                assertThat((double) results[1][i])
                        .as("swiglu, add, rmsNorm %d x %d at %d", s[0], s[1], i)
                        .isCloseTo(
                                results[0][i],
                                org.assertj.core.data.Offset.offset(
                                        (s[1] / 2.0 + 6) * U * Math.abs(results[0][i]) + 4 * EXP_ERROR));
            }
        }
        rope();
        embed();
    }

    private void rope() {
        for (int headDim : new int[] {2, 14, 64, 70}) {
            RotaryTable table = RotaryTable.of(ropeConfig(headDim), 40, 40);
            float[] x = RandomModel.values(random, 33 * 3 * headDim);
            Matrix expected = reference.upload(x, 33, 3 * headDim);
            Matrix found = vector.upload(x, 33, 3 * headDim);
            reference.rope(expected, headDim, table, 1, 7);
            vector.rope(found, headDim, table, 1, 7);
            closeTo("rope " + headDim, vector.download(found), reference.download(expected), 4 * U * 6);
        }
    }

    private static nibble.convert.LlamaConfig ropeConfig(int headDim) {
        var c = RandomModel.config(new nibble.convert.Rope.None(), 64);
        return new nibble.convert.LlamaConfig(
                c.architecture(), c.hiddenSize(), c.intermediateSize(), c.layers(), c.heads(), c.kvHeads(), headDim,
                c.vocabularySize(), c.maxPositions(), c.rmsNormEps(), c.rope(), c.tiedEmbeddings(), c.dtype(), c.bosId(),
                c.eosIds(), c.quantization(), c.json());
    }

    private void embed() {
        DenseWeight table = new DenseWeight(tensor(DType.BF16, 11, 1031));
        int[] ids = {3, 0, 10, 3};
        Matrix expected = reference.allocate(4, 1031);
        Matrix found = vector.allocate(4, 1031);
        reference.embed(table, ids, expected);
        vector.embed(table, ids, found);
        assertThat(vector.download(found)).isEqualTo(reference.download(expected));
    }

    void logProbabilities() {
        for (int[] s : new int[][] {{1, 3, 5}, {70, 131, 300}, {3, 1009, 64}}) {
            DenseWeight head = new DenseWeight(tensor(DType.F16, s[1], s[2]));
            float[] x = RandomModel.values(random, s[0] * s[2]);
            int[] next = random.ints(s[0], 0, s[1]).toArray();
            next[0] = s[1] - 1;
            float[] expected = reference.logProbabilities(head, reference.upload(x, s[0], s[2]), next);
            float[] found = vector.logProbabilities(head, vector.upload(x, s[0], s[2]), next);
            // Each logit, and so the maximum and the logarithm of the sum, is a product of k terms of size about 1.
            double size = s[2] * 4.0;
            closeTo("logProbabilities " + s[1], found, expected, 3 * (s[2] + 2) * U * size + EXP_ERROR + s[1] * U);
        }
    }

    private static void closeTo(String what, float[] found, float[] expected, double bound) {
        for (int i = 0; i < expected.length; i++) {
            assertThat(Math.abs((double) found[i] - expected[i]))
                    .as("%s at %d: %s against %s", what, i, found[i], expected[i])
                    .isLessThanOrEqualTo(bound);
        }
    }

    private TensorView tensor(DType type, int rows, int columns) {
        MemorySegment data = Arena.ofAuto().allocate((long) rows * columns * type.bytes() + 1).asSlice(1);
        for (int i = 0; i < rows * columns; i++) {
            float value = (float) random.nextGaussian();
            if (type == DType.F32) {
                data.set(ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 4L * i, value);
            } else {
                short bits = type == DType.F16 ? Float.floatToFloat16(value) : (short) (Float.floatToIntBits(value) >> 16);
                data.set(ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 2L * i, bits);
            }
        }
        return new TensorView("random", type, Shape.of(rows, columns), data);
    }

    private QuantizedLinear quantized(int out, int in, int group) {
        QuantizationSpec spec = new QuantizationSpec(4, group);
        byte[] codes = new byte[out * in / 2];
        random.nextBytes(codes);
        byte[] zeros = new byte[out * spec.groups(in)];
        short[] scales = new short[zeros.length];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) random.nextInt(16);
            scales[i] = Float.floatToFloat16(0.01f + random.nextFloat());
        }
        return new QuantizedLinear(out, in, spec, codes, zeros, scales);
    }
}
