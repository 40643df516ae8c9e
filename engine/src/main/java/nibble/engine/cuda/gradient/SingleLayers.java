package nibble.engine.cuda.gradient;

import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Extents;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Matrices;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;

/** Has the operations of a forward pass in fp32, with products of 11 bits. */
final class SingleLayers implements LayerOperations {
    private static final String FILE = "tune_layer.cu";

    private final TuneCard card;
    /** Makes the matrices. */
    private final Matrices matrices;

    private final KeptVectors vectors;
    private final SingleAttention attention;

    SingleLayers(TuneCard card, Matrices matrices, KeptVectors vectors) {
        this.card = card;
        this.matrices = matrices;
        this.vectors = vectors;
        this.attention = new SingleAttention(card);
    }

    long address(Matrix matrix) {
        return card.single(matrix).address();
    }

    Floats floats(Matrix matrix) {
        return new Floats(address(matrix), matrix.columns());
    }

    @Override
    public Matrix allocate(int rows, int columns) {
        return matrices.allocateSingle(rows, columns);
    }

    @Override
    public Matrix upload(float[] values, int rows, int columns) {
        return matrices.uploadSingle(values, rows, columns);
    }

    @Override
    public Matrix allocateSingle(int rows, int columns) {
        return matrices.allocateSingle(rows, columns);
    }

    @Override
    public Matrix uploadSingle(float[] values, int rows, int columns) {
        return matrices.uploadSingle(values, rows, columns);
    }

    @Override
    public float[] download(Matrix matrix) {
        return matrices.download(matrix);
    }

    @Override
    public float[] download(Matrix matrix, int from, int count) {
        return matrices.download(matrix, from, count);
    }

    @Override
    public void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        matrices.copyRows(source, from, count, target, firstRow);
    }

    /** Reads the rows on the host: a step needs few of them. */
    @Override
    public void embed(Weight embedding, int[] ids, Matrix out) {
        Extents.require("embed", "out", out, ids.length, embedding.inFeatures());
        Extents.ids(embedding, ids);
        int columns = embedding.inFeatures();
        float[] rows = new float[Math.multiplyExact(ids.length, columns)];
        for (int t = 0; t < ids.length; t++) {
            WeightRows.read(embedding, ids[t], 0, columns, rows, t * columns);
        }
        card.bring(rows, card.single(out).buffer(), 0);
    }

    @Override
    public void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        Extents.require("rmsNorm", "out", out, x.rows(), x.columns());
        norm(x, weight.length, vectors.single(weight).address(), 0, epsilon, out);
    }

    @Override
    public void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        Extents.rmsNormHeads(x, weight.length);
        norm(x, weight.length, vectors.single(weight).address(), 0, epsilon, x);
    }

    // LayerPass refuses a model that needs it.
    @Override
    public void layerNormHeads(Matrix x, float[] weight, int headDim, double epsilon) {
        throw new UnsupportedOperationException("gradients of norms of heads that subtract the mean");
    }

    // As above.
    @Override
    public void center(Matrix x, Matrix out) {
        throw new UnsupportedOperationException("gradients of norms that subtract the mean");
    }

    /**
     * Norms x as rows of so many columns.
     *
     * @param start address of the gains, or of what they began with
     * @param change address of their changes, or 0
     */
    void norm(Matrix x, int columns, long start, long change, double epsilon, Matrix out) {
        card.rows(
                FILE, "rms_norm", rows(x, columns), address(x), start, change, (float) epsilon, columns, address(out));
    }

    static int rows(Matrix x, int columns) {
        return Math.multiplyExact(x.rows(), x.columns() / columns);
    }

    @Override
    public void gatherColumns(Matrix source, int[] columns, Matrix target) {
        Extents.gatherColumns(source, columns, target);
        card.rows(
                FILE,
                "gather_columns",
                source.rows(),
                address(source),
                source.columns(),
                vectors.columns(columns).address(),
                columns.length,
                address(target));
    }

    @Override
    public void addBias(float[] bias, Matrix into) {
        Extents.require("addBias", "into", into, into.rows(), bias.length);
        card.blocks(
                FILE,
                "add_bias",
                (bias.length + 255) / 256,
                into.rows(),
                vectors.single(bias).address(),
                address(into),
                bias.length);
    }

    @Override
    public void scale(Matrix x, float factor) {
        long n = card.single(x).elements();
        card.each(FILE, "scale", n, address(x), factor, n);
    }

    @Override
    public void cap(Matrix x, float most) {
        long n = card.single(x).elements();
        card.each(FILE, "cap", n, address(x), most, n);
    }

    @Override
    public void add(Matrix x, Matrix into) {
        Extents.require("add", "x", x, into.rows(), into.columns());
        long n = card.single(into).elements();
        card.each(FILE, "add", n, address(x), address(into), n);
    }

    @Override
    public void linear(Weight weight, Matrix x, Matrix out) {
        linear(weight, x, out, Into.SET);
    }

    @Override
    public void addLinear(Weight weight, Matrix x, Matrix into) {
        linear(weight, x, into, Into.ADD);
    }

    private void linear(Weight weight, Matrix x, Matrix out, Into into) {
        Extents.linear(weight, x, out);
        if (weight instanceof SingleWeight placed) {
            multiply(placed, x, out, into);
            return;
        }
        try (DeviceMemory.Buffer buffer =
                card.floats((long) weight.outFeatures() * weight.inFeatures(), weight.name())) {
            SingleWeight brought = new SingleWeight(weight.name(), weight.outFeatures(), weight.inFeatures(), buffer);
            float[] row = new float[weight.inFeatures()];
            for (int n = 0; n < weight.outFeatures(); n++) {
                WeightRows.read(weight, n, 0, row.length, row, 0);
                card.bring(row, buffer, (long) n * row.length);
            }
            multiply(brought, x, out, into);
        }
    }

    private void multiply(SingleWeight weight, Matrix x, Matrix out, Into into) {
        card.product(
                into,
                x.rows(),
                weight.outFeatures(),
                weight.inFeatures(),
                floats(x),
                weight.floats().turned(),
                floats(out));
    }

    @Override
    public void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        Extents.rope(x, headDim, table, sequences, firstPosition);
        long angles = vectors.angles(table).address();
        card.blocks(
                FILE,
                "rope",
                (x.columns() / 2 + 255) / 256,
                x.rows(),
                address(x),
                x.columns(),
                headDim,
                table.half(),
                angles,
                angles + (long) Float.BYTES * table.cos().length,
                firstPosition,
                Math.max(1, x.rows() / sequences));
    }

    @Override
    public void attention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        attention.forward(shape, sequences, query, firstPosition, keys, values, out);
    }

    SingleAttention attention() {
        return attention;
    }

    @Override
    public void mixRows(Matrix products, int[] places, float[] weights, Matrix into) {
        throw new UnsupportedOperationException("a mixture of experts is not tuned");
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix out) {
        Extents.glu(gate, up, out);
        Gate form = Gate.of(activation);
        long n = card.single(out).elements();
        card.each(FILE, "glu", n, address(gate), address(up), form.linear(), form.cubic(), address(out), n);
    }

    /**
     * Describes an activation as x times the sigmoid of {@code linear x + cubic x³}.
     *
     * @param linear 1 for SiLU
     * @param cubic 0 for SiLU
     */
    record Gate(float linear, float cubic) {
        private static final double GELU = 2 * Math.sqrt(2 / Math.PI);

        static Gate of(Activation activation) {
            return switch (activation) {
                case SILU -> new Gate(1, 0);
                case GELU_TANH -> new Gate((float) GELU, (float) (GELU * 0.044715));
                case CLAMPED_SWIGLU -> throw new IllegalArgumentException("gradient of " + activation);
            };
        }
    }
}
