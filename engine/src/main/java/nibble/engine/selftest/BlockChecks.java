package nibble.engine.selftest;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.batch.BatchOptions;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.Matrix;

/** Keys and values in blocks: attention of next tokens and of longer parts, and rows on their way into blocks. */
final class BlockChecks {
    private static final int BLOCK = BatchOptions.BLOCK_TOKENS;
    /** Blocks that no sequence of a case has. */
    private static final int OTHER_BLOCKS = 3;
    /** Unit roundoff of fp16. */
    private static final double HALF = 0x1p-11;

    private final ReferenceBackend reference = new ReferenceBackend();
    private final Backend backend;
    private final SelfTest.AttentionBound bound;
    private final boolean cuda;
    private final Operands operands = new Operands(23);

    BlockChecks(Backend backend, SelfTest.AttentionBound bound) {
        this.backend = backend;
        this.bound = bound;
        this.cuda = backend.kind() == DeviceKind.CUDA;
    }

    List<Check> run() {
        return List.of(
                attention(false, false),
                attention(true, false),
                attention(false, true),
                attention(true, true),
                scatterRows(false),
                scatterRows(true));
    }

    /** Query rows of a sequence behind others; the rest of the matrix must stay as it was. */
    private Check attention(boolean coded, boolean sinks) {
        Comparison comparison =
                new Comparison("attention to blocks" + (coded ? " of 8-bit codes" : "") + (sinks ? " with sinks" : ""));
        int none = ModelConfig.NO_WINDOW;
        // heads, kv heads, head size, window; then for each sequence: first position, rows
        int[][] cases = {
            {2, 2, 24, none, 0, 1},
            {4, 2, 64, none, 14, 1, 15, 1, 16, 1, 17, 1},
            {8, 1, 128, none, 300, 1, 5, 1, 511, 1, 0, 1, 255, 1, 256, 1},
            {3, 3, 96, none, 700, 1, 63, 1},
            {17, 1, 256, none, 40, 1, 290, 1},
            {20, 1, 64, none, 5000, 1, 2, 1},
            {4, 4, 128, none, 33, 20, 7, 1, 0, 40, 64, 5},
            {4, 2, 40, 30, 100, 1, 29, 1, 30, 1, 500, 1, 16, 7},
            {2, 1, 128, 257, 1000, 1, 256, 1, 400, 17},
        };
        for (int[] c : cases) {
            attention(comparison, c, coded, sinks);
        }
        return comparison.result();
    }

    private void attention(Comparison comparison, int[] c, boolean coded, boolean sinks) {
        AttentionShape plain = new AttentionShape(c[0], c[1], c[2], c[3]);
        AttentionShape shape = sinks ? plain.withSinks(operands.values(c[0])) : plain;
        int blocks = OTHER_BLOCKS;
        int rows = 2;
        for (int i = 4; i < c.length; i += 2) {
            blocks += Math.ceilDiv(c[i] + c[i + 1], BLOCK);
            rows += c[i + 1];
        }
        List<Integer> order = new ArrayList<>();
        for (int block = 0; block < blocks; block++) {
            order.add(block);
        }
        Collections.shuffle(order, operands.random());
        List<SequencePart.InBlocks> parts = new ArrayList<>();
        int row = 1;
        for (int i = 4; i < c.length; i += 2) {
            List<Integer> own = order.subList(0, Math.ceilDiv(c[i] + c[i + 1], BLOCK));
            int[] list = own.stream().mapToInt(Integer::intValue).toArray();
            own.clear();
            parts.add(new SequencePart.InBlocks(row, c[i + 1], c[i], list, BLOCK));
            row += c[i + 1];
        }
        float[] q = operands.values(rows * shape.queryColumns());
        float[] k = operands.values(blocks * BLOCK * shape.keyColumns());
        float[] v = operands.values(k.length);
        float[] before = operands.values(q.length);
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            Backend side = b == 0 ? reference : backend;
            try (Matrix query = side.upload(q, rows, shape.queryColumns());
                    Matrix keys = cached(side, coded, k, shape);
                    Matrix values = cached(side, coded, v, shape);
                    Matrix out = side.upload(before, rows, shape.queryColumns())) {
                side.attention(shape, parts, query, keys, values, out);
                results[b] = side.download(out);
            }
        }
        int seen = parts.stream().mapToInt(SequencePart.InBlocks::seen).max().orElseThrow();
        double error = bound.of(c[2], Math.min(seen, c[3]), v);
        double[] ofRows = new double[rows];
        Arrays.fill(ofRows, error);
        if (coded && cuda) {
            // The keys and values of longer parts are brought together in fp16: |q·k| / √d is below 4 √d.
            for (SequencePart.InBlocks part : parts) {
                if (part.rows() > 1) {
                    double more = 2 * HALF * 4 * Math.sqrt(c[2]) + HALF;
                    Arrays.fill(ofRows, part.firstRow(), part.firstRow() + part.rows(), error + more * largest(v));
                }
            }
        }
        comparison.compare(Arrays.toString(c), results[1], results[0], i -> ofRows[i / shape.queryColumns()]);
    }

    private static double largest(float[] x) {
        double largest = 0;
        for (float value : x) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }

    private static Matrix cached(Backend side, boolean coded, float[] x, AttentionShape shape) {
        int columns = shape.keyColumns();
        int rows = x.length / columns;
        if (!coded) {
            return side.upload(x, rows, columns);
        }
        Matrix codes = side.allocateCodes(rows, columns, shape.headDim());
        try (Matrix source = side.upload(x, rows, columns)) {
            side.scatterRows(source, IntStream.range(0, rows).toArray(), codes);
        }
        return codes;
    }

    /** Codes of a row are the same on every device. */
    private Check scatterRows(boolean coded) {
        Comparison comparison = new Comparison("scatterRows" + (coded ? " to 8-bit codes" : ""));
        int[][] sizes = coded
                ? new int[][] {{1, 8, 8}, {5, 48, 24}, {40, 512, 64}, {33, 1024, 256}}
                : new int[][] {{1, 1, 1}, {5, 13, 13}, {40, 64, 64}, {33, 1024, 1024}};
        for (int[] s : sizes) {
            float[] x = operands.values(s[0] * s[1]);
            float[] before = operands.values(3 * s[0] * s[1]);
            List<Integer> places = new ArrayList<>();
            for (int i = 0; i < 3 * s[0]; i++) {
                places.add(i);
            }
            Collections.shuffle(places, operands.random());
            int[] rows = places.stream().limit(s[0]).mapToInt(Integer::intValue).toArray();
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                Backend side = b == 0 ? reference : backend;
                try (Matrix from = side.upload(x, s[0], s[1]);
                        Matrix to = coded
                                ? side.allocateCodes(3 * s[0], s[1], s[2])
                                : side.upload(before, 3 * s[0], s[1])) {
                    side.scatterRows(from, rows, to);
                    results[b] = side.download(to);
                }
            }
            comparison.compare(Arrays.toString(s), results[1], results[0], _ -> 0);
        }
        return comparison.result();
    }
}
