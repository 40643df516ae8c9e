package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Weight;

/**
 * Puts the experts of a layer into the stream, for up to 64 rows: {@code experts.cu} chooses and groups them on the
 * card, {@code expert_linear.cu} multiplies. The host waits for nothing, so graphs can hold it. A row's result depends
 * neither on the other rows nor on how many they are. Owns its buffers.
 */
final class GroupedExperts implements AutoCloseable {
    private static final String LINEAR = "expert_linear.cu";
    private static final int CHOOSERS = 256;
    private static final int MIXERS = 128;
    /** Units of a block's tiles, for each warp about eight. */
    private static final int BLOCK_UNITS = 64;
    /** Shared memory that the activations of a panel may take. */
    private static final int PANEL_BYTES = 65536;

    private static final int PASS_BYTES = 16;

    private final CudaBackend backend;
    private final CudaResources card;
    private final Experts experts;
    private final int hidden;
    /** Rows of a pass over an expert's weights. */
    private final int passRows;

    private final List<AutoCloseable> closing = new ArrayList<>();
    private final CudaMatrix logits;
    private final CudaMatrix gates;
    private final CudaMatrix gated;
    private final CudaMatrix products;
    private final CudaMatrix sharedBoth;
    private final CudaMatrix sharedGated;
    private final DeviceMemory.Buffer choices;
    private final DeviceMemory.Buffer weights;
    private final DeviceMemory.Buffer shares;
    private final DeviceMemory.Buffer places;
    private final DeviceMemory.Buffer sources;
    private final DeviceMemory.Buffer passes;
    /** 0, 1, 2, ...: the places of the shared expert's products. */
    private final DeviceMemory.Buffer rowNumbers;

    GroupedExperts(CudaBackend backend, Experts experts, int hidden, int rows) {
        this.backend = backend;
        this.card = backend.resources();
        this.experts = experts;
        this.hidden = hidden;
        this.passRows = passRows(experts, rows);
        int all = rows * experts.chosen();
        int shared = Math.max(experts.shared().width(), 1);
        try {
            logits = matrix(backend.allocateSingle(rows, experts.count()));
            gates = matrix(backend.allocateSingle(rows, 1));
            gated = matrix(backend.allocate(all, experts.width()));
            products = matrix(backend.allocate(all, hidden));
            sharedBoth = matrix(backend.allocate(rows, 2 * shared));
            sharedGated = matrix(backend.allocate(rows, shared));
            choices = buffer(4L * all);
            weights = buffer(4L * all);
            shares = buffer(4L * rows);
            places = buffer(4L * all);
            sources = buffer(4L * all);
            passes = buffer((long) PASS_BYTES * (1 + mostPasses(rows)));
            rowNumbers = buffer(4L * rows);
            card.transfers()
                    .bring(MemorySegment.ofArray(IntStream.range(0, rows).toArray()), rowNumbers);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /**
     * Returns whether steps of a model can have its experts, if it has any: those that the decoder of one token takes,
     * and a shared one whose gate and up are one matrix.
     */
    static boolean takes(CudaPlacedModel model) {
        boolean plain = model.config().architecture().activation() == Activation.SILU
                && model.finalNorm().isPlain();
        return DecodedExperts.of(model).isPresent()
                && IntStream.range(0, model.config().layers())
                        .mapToObj(model::layer)
                        .allMatch(layer -> !(layer.feedForward() instanceof ExpertMlps mlps)
                                || plain && layer.extras().concernsHeadsAlone() && takes(mlps));
    }

    private static boolean takes(ExpertMlps mlps) {
        return mlps.mlps().stream().allMatch(mlp -> BatchLayers.whole(List.of(mlp.gate(), mlp.up())) != null);
    }

    /** Few rows where each expert has few: a pass reads the weights once. */
    private static int passRows(Experts experts, int rows) {
        int each = rows * experts.chosen() / experts.count();
        return each <= 6 ? 8 : each <= 12 ? 16 : 32;
    }

    private int mostPasses(int rows) {
        int all = rows * experts.chosen();
        return Math.min(all, experts.count() + all / passRows);
    }

    private CudaMatrix matrix(Matrix matrix) {
        closing.add(matrix);
        return CudaMatrix.of(card, matrix);
    }

    private DeviceMemory.Buffer buffer(long bytes) {
        DeviceMemory.Buffer buffer = card.memory().allocate(bytes, "the experts of a step");
        closing.add(buffer);
        return buffer;
    }

    private CudaMatrix first(CudaMatrix matrix, int rows) {
        return new CudaMatrix(card, matrix.buffer(), rows, matrix.columns(), matrix.single());
    }

    /** Returns the code that the experts of some layers run. */
    static Set<KernelCache.Code> codes(List<ExpertMlps> layers, Experts experts, int rows) {
        Set<KernelCache.Code> codes = new LinkedHashSet<>();
        codes.add(new KernelCache.Code("experts.cu", Map.of()));
        for (ExpertMlps layer : layers) {
            Mlp routed = layer.routed().getFirst();
            codes.add(new KernelCache.Code(LINEAR, constants(routed.gate(), passRows(experts, rows))));
            codes.add(new KernelCache.Code(LINEAR, constants(routed.down(), passRows(experts, rows))));
        }
        return codes;
    }

    private static Map<String, Integer> constants(Weight weight, int passRows) {
        Map<String, Integer> constants = new HashMap<>(Map.of("ROWS", passRows, "BLOCK_TYPE", 1));
        if (weight instanceof CudaWeight.Tiled tiled) {
            constants.putAll(tiled.matrix().constants());
            constants.put("BLOCK_TYPE", tiled.matrix().type());
        }
        return constants;
    }

    /**
     * Adds the outputs of a layer's experts to {@code into}.
     *
     * @param normed what goes into router and experts, [rows, hidden], fp16
     * @param into [rows, hidden], fp16
     */
    void run(ExpertMlps layer, CudaMatrix normed, CudaMatrix into) {
        int rows = normed.rows();
        int all = rows * experts.chosen();
        backend.linears.multiply(layer.router(), normed, first(logits, rows), false);
        layer.sharedGate().ifPresent(gate -> backend.linears.multiply(gate, normed, first(gates, rows), false));
        launch(
                "choose_experts",
                rows,
                CHOOSERS,
                logits.address(),
                layer.sharedGate().isPresent() ? gates.address() : 0L,
                experts.count(),
                experts.chosen(),
                experts.choice().normalized() ? 1 : 0,
                choices.address(),
                weights.address(),
                shares.address());
        launch(
                "group_choices",
                1,
                CHOOSERS,
                choices.address(),
                all,
                experts.chosen(),
                passRows,
                places.address(),
                sources.address(),
                passes.address());
        Mlp routed = layer.routed().getFirst();
        long gateStride = DecodedExperts.stride(layer.routed(), Mlp::gate);
        long downStride = DecodedExperts.stride(layer.routed(), Mlp::down);
        multiply("expert_gate_up", routed.gate(), 2 * experts.width(), gateStride, normed, gated, rows);
        multiply("expert_down", routed.down(), hidden, downStride, gated, products, rows);
        mix(products, places, weights, experts.chosen(), into);
        layer.shared().ifPresent(shared -> shared(shared, normed, into));
    }

    /** The experts' products are used up: their memory serves again. */
    private void shared(Mlp shared, CudaMatrix normed, CudaMatrix into) {
        int rows = normed.rows();
        CudaWeight gateUp = BatchLayers.whole(List.of(shared.gate(), shared.up()));
        if (gateUp == null) {
            throw new IllegalStateException(shared.gate().name() + " and up are not one matrix");
        }
        CudaMatrix both = first(sharedBoth, rows);
        CudaMatrix activated = first(sharedGated, rows);
        CudaMatrix product = first(products, rows);
        backend.linears.multiply(gateUp, normed, both, false);
        backend.elementwise.gluOfRows(Activation.SILU, gateUp, both, activated, 0);
        backend.linears.multiply(shared.down(), activated, product, false);
        mix(product, rowNumbers, shares, 1, into);
    }

    private void mix(CudaMatrix from, DeviceMemory.Buffer at, DeviceMemory.Buffer by, int each, CudaMatrix into) {
        launch("mix", into.rows(), MIXERS, from.address(), at.address(), by.address(), each, hidden, into.address());
    }

    private void launch(String name, int blocks, int threads, Object... arguments) {
        card.kernels()
                .kernel("experts.cu", name, Map.of())
                .launch(card.stream(), Kernel.Grid.of(blocks), threads, 0, arguments);
    }

    /** @param first the matrix of the first expert, [outRows, in] */
    private void multiply(String name, Weight first, int outRows, long stride, CudaMatrix x, CudaMatrix out, int rows) {
        Map<String, Integer> constants = constants(first, passRows);
        int[] exported = card.kernels().integers(LINEAR, "expert_linear_launch", constants);
        int warps = exported[1];
        int columns = exported[3];
        int tileRows = exported[4];
        int units = Math.ceilDiv(first.inFeatures(), columns);
        int tiles = Math.ceilDiv(outRows, tileRows);
        int tilesPerBlock = Math.clamp(BLOCK_UNITS / units, 1, tiles);
        int panelUnits = Math.clamp(PANEL_BYTES / 2 / passRows / columns, 1, units);
        int rest = exported[5]
                + 2 * passRows * (panelUnits * columns + 32)
                + (panelUnits < units ? Float.BYTES * tileRows * passRows * tilesPerBlock : 0);
        int perSlot = warps * exported[2] + 8 * warps;
        int half = (card.device().sharedBytesPerMultiprocessor() / 2 - 1024 - rest) / perSlot;
        int slots = half >= 2 ? half : (card.device().sharedBytesPerBlock() - rest) / perSlot;
        slots = Math.min(slots, Math.ceilDiv(tilesPerBlock * units, warps));
        card.kernels()
                .kernel(LINEAR, name, constants)
                .launch(
                        card.stream(),
                        new Kernel.Grid(Math.ceilDiv(tiles, tilesPerBlock), mostPasses(rows), 1),
                        exported[0],
                        rest + slots * perSlot,
                        out.address(),
                        DecodedTypes.address(first),
                        stride,
                        x.address(),
                        sources.address(),
                        passes.address(),
                        first.inFeatures(),
                        outRows,
                        tilesPerBlock,
                        panelUnits,
                        slots);
    }

    @Override
    public void close() {
        for (AutoCloseable one : closing.reversed()) {
            switch (one) {
                case Matrix matrix -> matrix.close();
                case DeviceMemory.Buffer buffer -> buffer.close();
                default -> throw new IllegalStateException("nothing else is kept");
            }
        }
    }
}
