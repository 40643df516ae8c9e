package nibble.engine.cuda.gradient;

import java.util.List;
import java.util.function.Function;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.GradientExtents;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Matrices;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Has the operations of a backward pass on a card: matrices in fp32, products of the 11 bits that tensor cores use of
 * them. All sums have one order. Borrows the card.
 */
public final class CudaGradients implements GradientOperations {
    /** Most bytes of the gradient of a weight, of which some rows are made at a time. */
    private static final long PIECE_BYTES = 256L << 20;
    /** Rows whose share of a gain's gradient is summed at a time, as the kernel has it. */
    private static final int ROWS_PER_PART = 128;

    private static final String LAYER_FILE = "tune_layer.cu";
    private static final String CODES_FILE = "tune_codes.cu";

    private final TuneCard card;
    private final SingleLayers layers;
    private final RowDivergence divergence;
    private final Function<Weight, PlacedWeight> bring;

    /**
     * Makes the operations of a card.
     *
     * @param matrices of the backend
     * @param bring places an unquantized weight of the host in fp16
     */
    public CudaGradients(
            CudaResources card, Matrices matrices, KeptVectors vectors, Function<Weight, PlacedWeight> bring) {
        this.card = new TuneCard(card);
        this.layers = new SingleLayers(this.card, matrices, vectors);
        this.divergence = new RowDivergence(this.card);
        this.bring = bring;
    }

    @Override
    public LayerOperations layers() {
        return layers;
    }

    @Override
    public Room room(
            ModelConfig config,
            QuantizationSpec spec,
            int sequences,
            int length,
            long tapeColumns,
            boolean movesCodes) {
        return new TuningMemory(config, spec, sequences, length, tapeColumns)
                .room(card.card.memory().available(), movesCodes);
    }

    @Override
    public boolean fitsCodes(ModelConfig config, QuantizationSpec spec, int sequences, int length, long tapeColumns) {
        return new TuningMemory(config, spec, sequences, length, tapeColumns)
                .fitsCodes(card.card.memory().available());
    }

    // One half for each of two cards.
    @Override
    public int parts(int sequences) {
        return sequences % 2 == 0 ? 2 : 1;
    }

    /** An event of a card's stream. */
    private record CardMark(CudaResources card, CudaStream.Event event) implements Mark {
        @Override
        public void set() {
            card.stream().record(event);
        }

        @Override
        public void close() {
            event.close();
        }
    }

    @Override
    public Mark mark() {
        return new CardMark(card.card, new CudaStream.Event());
    }

    @Override
    public void await(Mark mark) {
        if (!(mark instanceof CardMark(CudaResources _, CudaStream.Event event))) {
            throw new IllegalArgumentException("mark of another backend");
        }
        card.card.stream().waitFor(event);
    }

    @Override
    public Parameter parameter(float[] start) {
        return new CudaParameter(card, start);
    }

    @Override
    public Parameter positions(PlacedCodes codes) {
        return new CudaPositions(card, CudaCodes.of(card, codes));
    }

    @Override
    public CodeStore codes(int resident) {
        return new CudaCodeStore(card, resident);
    }

    @Override
    public PlacedWeight place(Weight weight) {
        return bring.apply(weight);
    }

    @Override
    public PlacedWeight weight(PlacedCodes placed, Parameter scales) {
        GradientExtents.scales("weight", placed, scales);
        CudaCodes codes = CudaCodes.of(card, placed);
        CudaParameter numbers = CudaParameter.of(card, scales);
        int out = codes.outFeatures();
        int in = codes.inFeatures();
        DeviceMemory.Buffer buffer = card.floats((long) out * in, "a weight in fp32");
        card.elements(
                CODES_FILE,
                "expand_codes",
                out,
                in / 8,
                codes.codes(),
                codes.zeros(),
                numbers.start(),
                numbers.change(),
                out,
                in,
                codes.groups(),
                codes.bits(),
                buffer.address());
        return new PlacedWeight(new SingleWeight("tuned weight", out, in, buffer), buffer::close);
    }

    @Override
    public void rmsNorm(Matrix x, Parameter gain, double epsilon, Matrix out) {
        GradientExtents.norm(x, gain, out, out);
        norm(x, gain, epsilon, out);
    }

    @Override
    public void rmsNormHeads(Matrix x, Parameter gain, double epsilon) {
        GradientExtents.heads(x, gain, x);
        norm(x, gain, epsilon, x);
    }

    @Override
    public void center(Matrix x) {
        card.rows("tune_rows.cu", "center", x.rows(), layers.address(x), x.columns());
    }

    private void norm(Matrix x, Parameter gain, double epsilon, Matrix out) {
        CudaParameter numbers = CudaParameter.of(card, gain);
        layers.norm(x, gain.size(), numbers.start(), numbers.change(), epsilon, out);
    }

    @Override
    public void linears(List<Weight> weights, List<Matrix> dys, Matrix dx) {
        GradientExtents.linears(weights, dys, dx);
        for (int i = 0; i < weights.size(); i++) {
            if (!(weights.get(i) instanceof SingleWeight weight)) {
                throw new IllegalArgumentException(weights.get(i).name() + ": a weight that is tuned is expected");
            }
            card.product(
                    i == 0 ? Into.SET : Into.ADD,
                    dx.rows(),
                    weight.inFeatures(),
                    weight.outFeatures(),
                    layers.floats(dys.get(i)),
                    weight.floats(),
                    layers.floats(dx));
        }
    }

    /** Returns the device memory that the gradient of a weight takes. */
    static long pieceBytes(ModelConfig config) {
        long most = 0;
        for (Linear linear : Linear.SEVEN) {
            int in = config.inFeatures(linear);
            int rows = pieceRows(config.outFeatures(linear), in);
            most = Math.max(most, DeviceMemory.rounded((long) Float.BYTES * rows * in));
        }
        return most;
    }

    private static int pieceRows(int out, int in) {
        return (int) Math.clamp(PIECE_BYTES / Float.BYTES / in, 1, Math.min(out, TuneCard.MOST_ROWS));
    }

    @Override
    public void addScales(PlacedCodes placed, Matrix dy, Matrix x, Parameter scales, @Nullable Parameter positions) {
        GradientExtents.scales(placed, dy, x, scales, positions);
        CudaCodes codes = CudaCodes.of(card, placed);
        CudaParameter numbers = CudaParameter.of(card, scales);
        long sums = numbers.sums();
        long toPositions =
                positions == null ? 0 : CudaPositions.of(card, positions).sums();
        int out = codes.outFeatures();
        int in = codes.inFeatures();
        int atATime = pieceRows(out, in);
        try (DeviceMemory.Buffer whole = card.floats((long) atATime * in, "the gradient of a weight")) {
            for (int row = 0; row < out; row += atATime) {
                int rows = Math.min(atATime, out - row);
                Floats from = layers.floats(dy).from(0, row).turned();
                card.product(Into.SET, rows, in, x.rows(), from, layers.floats(x), new Floats(whole.address(), in));
                long slot = (long) row * codes.groups();
                card.groups(
                        CODES_FILE,
                        "add_groups",
                        rows,
                        codes.groups(),
                        whole.address(),
                        codes.codes() + row * codes.rowBytes(),
                        codes.zeros() + slot,
                        numbers.start() + Float.BYTES * slot,
                        numbers.change() + Float.BYTES * slot,
                        in,
                        codes.groups(),
                        codes.bits(),
                        sums + Float.BYTES * slot,
                        positions == null ? 0L : toPositions + (long) Float.BYTES * row * in);
            }
        }
    }

    @Override
    public void addRmsNorm(Matrix x, Parameter gain, double epsilon, Matrix dy, Matrix dx) {
        GradientExtents.norm(x, gain, dy, dx);
        normBack(x, gain, epsilon, dy, dx, true);
    }

    @Override
    public void rmsNormHeadsBack(Matrix x, Parameter gain, double epsilon, Matrix gradient) {
        GradientExtents.heads(x, gain, gradient);
        normBack(x, gain, epsilon, gradient, gradient, false);
    }

    private void normBack(Matrix x, Parameter gain, double epsilon, Matrix dy, Matrix dx, boolean accumulate) {
        CudaParameter numbers = CudaParameter.of(card, gain);
        int columns = gain.size();
        int rows = SingleLayers.rows(x, columns);
        int parts = (rows + ROWS_PER_PART - 1) / ROWS_PER_PART;
        long from = layers.address(x);
        long gradient = layers.address(dy);
        try (DeviceMemory.Buffer sums = card.floats(2L * rows, "sums of a norm");
                DeviceMemory.Buffer partial = card.floats((long) parts * columns, "parts of a gain's gradient")) {
            card.rows(
                    LAYER_FILE,
                    "norm_sums",
                    rows,
                    from,
                    gradient,
                    numbers.start(),
                    numbers.change(),
                    (float) epsilon,
                    columns,
                    sums.address());
            card.blocks(
                    LAYER_FILE,
                    "gain_parts",
                    (columns + 255) / 256,
                    parts,
                    from,
                    gradient,
                    sums.address(),
                    rows,
                    columns,
                    partial.address());
            card.each(LAYER_FILE, "gain_sum", columns, partial.address(), parts, columns, numbers.sums());
            card.rows(
                    LAYER_FILE,
                    "norm_back",
                    rows,
                    from,
                    numbers.start(),
                    numbers.change(),
                    sums.address(),
                    columns,
                    gradient,
                    layers.address(dx),
                    accumulate ? 1 : 0);
        }
    }

    @Override
    public void attention(AttentionShape shape, int sequences, AttentionPass pass) {
        pass.check(shape, sequences);
        layers.attention().backward(shape, sequences, pass);
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp) {
        GradientExtents.glu(gate, up, dOut, dGate, dUp);
        SingleLayers.Gate form = SingleLayers.Gate.of(activation);
        long n = card.single(gate).elements();
        card.each(
                LAYER_FILE,
                "glu_back",
                n,
                layers.address(gate),
                layers.address(up),
                layers.address(dOut),
                form.linear(),
                form.cubic(),
                layers.address(dGate),
                layers.address(dUp),
                n);
    }

    @Override
    public double divergence(Weight head, float cap, Matrix original, Matrix x, float factor, @Nullable Matrix dx) {
        GradientExtents.divergence(head, original, x, dx);
        if (head instanceof CudaWeight.Dense placed) {
            CudaMatrix first = CudaMatrix.of(card.card, original);
            CudaMatrix second = CudaMatrix.of(card.card, x);
            return divergence.run(placed, first, second, factor, cap, dx == null ? null : card.single(dx));
        }
        try (PlacedWeight placed = place(head)) {
            return divergence(placed.weight(), cap, original, x, factor, dx);
        }
    }
}
