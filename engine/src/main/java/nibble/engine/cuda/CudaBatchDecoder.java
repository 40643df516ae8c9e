package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.CacheType;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.backend.BlockCache;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.attention.PagedAttention;
import nibble.engine.cuda.attention.PagedInputs;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.CudaGraph;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.RowLogits;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Decodes the next tokens of up to 64 sequences in one step. A step is a CUDA graph, one for each class of numbers of
 * rows; rows that a step does not need compute an id that nobody reads. Ids, positions and tables of blocks are read
 * from memory at fixed addresses, so a graph serves every step of its class. Of the logits only the greatest come back.
 * Owns its buffers.
 */
final class CudaBatchDecoder implements BatchDecoder {
    /** Most rows of a step: for more, products are faster by pieces of expanded weights. */
    static final int MOST_ROWS = 64;

    private static final int[] CLASSES = {1, 2, 4, 8, 16, 24, 32, 48};

    private final CudaBackend backend;
    private final CudaResources card;
    private final CudaPlacedModel model;
    private final BlockCache cache;
    private final int rows;
    /** Closes what was made, the last first. */
    private final List<Runnable> closing = new ArrayList<>();

    private final PagedInputs inputs;
    /** Of logits alone, for as many rows as there is room for. */
    private final PagedInputs wishes;

    private final BatchLayers.Attending attending;
    private final BatchLayers.Activations most;
    private final @Nullable GroupedExperts experts;
    private final CudaMatrix logits;
    private final BestLogits best;
    private final DeviceMemory.Recording kept;
    private final TreeMap<Integer, Step> steps = new TreeMap<>();

    /** A step of a number of rows. */
    private final class Step implements AutoCloseable {
        final BatchLayers.Activations activations;
        final BatchLayers layers;
        private @Nullable CudaGraph graph;

        Step(int count) {
            activations = new BatchLayers.Activations(
                    first(most.hidden(), count),
                    first(most.normed(), count),
                    first(most.qkv(), count),
                    first(most.attended(), count),
                    first(most.both(), count),
                    first(most.gated(), count));
            layers = new BatchLayers(backend, model, cache, attending, activations, experts);
        }

        /** Puts a step into the stream. The first one also brings all kernels here, which recording must not. */
        void run() {
            CudaGraph recorded = graph;
            if (recorded != null) {
                recorded.launch(card.stream());
                return;
            }
            work();
            kept.begin();
            backend.products.recording(true);
            try {
                graph = CudaGraph.record(card.stream(), "a step of " + activations.rows() + " rows", this::work);
            } finally {
                backend.products.recording(false);
                kept.end();
            }
        }

        private void work() {
            ModelConfig config = model.config();
            backend.elementwise.embed((CudaWeight) model.embedding(), inputs.ids(), activations.hidden());
            if (config.embeddingScale() != 1f) {
                backend.scale(activations.hidden(), config.embeddingScale());
            }
            layers.run();
            findBest(activations.rows(), inputs);
        }

        @Override
        public void close() {
            if (graph != null) {
                graph.close();
            }
            layers.close();
        }
    }

    private CudaBatchDecoder(CudaBackend backend, CudaPlacedModel model, BlockCache cache, int rows) {
        this.backend = backend;
        this.card = backend.resources();
        this.model = model;
        this.cache = cache;
        this.rows = rows;
        this.kept = card.memory().recording();
        closing.add(kept::close);
        try {
            ModelConfig config = model.config();
            AttentionShape shape = AttentionShape.of(config, config.attention(0));
            Map<String, Integer> constants =
                    PagedAttention.constants(shape, cache.contextTokens(), cache.type() == CacheType.INT8);
            card.kernels().prepare(codes(constants));
            PagedAttention.Geometry geometry = backend.paged.geometry(constants);
            int blocks = Math.ceilDiv(cache.contextTokens(), PagedAttention.BLOCK_TOKENS);
            this.inputs = new PagedInputs(card, rows, blocks, geometry.round());
            closing.add(inputs::close);
            this.wishes = new PagedInputs(card, MOST_ROWS, 0, geometry.round());
            closing.add(wishes::close);
            RotaryTable table = RotaryTable.of(config, config.rope(), cache.contextTokens(), 0);
            DeviceMemory.Buffer angles = backend.vectors().bringAngles(table);
            closing.add(angles::close);
            PagedAttention.Workspace workspace = backend.paged.workspace(shape, geometry, rows);
            closing.add(workspace::close);
            this.attending = new BatchLayers.Attending(
                    shape, constants, inputs, angles, (long) Float.BYTES * table.cos().length, workspace);
            this.most = new BatchLayers.Activations(
                    zeros(MOST_ROWS, config.hiddenSize(), false),
                    zeros(MOST_ROWS, config.hiddenSize(), false),
                    activations(shape.queryColumns() + 2 * shape.keyColumns()),
                    activations(shape.queryColumns()),
                    activations(2 * config.intermediateSize()),
                    activations(config.intermediateSize()));
            this.experts = config.experts()
                    .map(of -> new GroupedExperts(backend, of, config.hiddenSize(), rows))
                    .orElse(null);
            if (experts != null) {
                closing.add(experts::close);
            }
            this.logits = zeros(MOST_ROWS, model.head().outFeatures(), true);
            this.best = new BestLogits(card, logits);
            closing.add(best::close);
            // Graphs read norms and biases where they are now, and expand weights where pieces are now.
            backend.vectors().hold();
            closing.add(backend.vectors()::release);
            backend.products.hold();
            closing.add(backend.products::release);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** The decoder of a model whose layers are all on the card. */
    static Optional<BatchDecoder> of(CudaBackend backend, PlacedModel placed, BlockCache cache, int rows) {
        ModelConfig config = placed.config();
        boolean fits = placed instanceof CudaPlacedModel model
                && model.allResident()
                && config.latent().isEmpty()
                && !config.architecture().hasSinks()
                && !config.architecture().isParallel()
                && !config.architecture().turnsNeighbours()
                && model.finalNorm().isPlain()
                && GroupedExperts.takes(model)
                && cache.blockTokens() == PagedAttention.BLOCK_TOKENS
                && config.headDim() % 8 == 0
                && config.headDim() <= 256
                && config.attendsAlike()
                && config.multipliers().logitCap() == 0
                && !config.architecture().biasesHead(config.json())
                && cache.contextTokens() <= RotaryTable.steadyLength(config);
        return fits
                ? Optional.of(new CudaBatchDecoder(backend, (CudaPlacedModel) placed, cache, Math.min(rows, MOST_ROWS)))
                : Optional.empty();
    }

    /** What the steps of all classes run: compiled side by side, while prompts are read. */
    private Set<KernelCache.Code> codes(Map<String, Integer> attention) {
        Set<KernelCache.Code> codes = new LinkedHashSet<>();
        codes.addAll(PagedAttention.codes(attention));
        codes.addAll(BestLogits.codes());
        Set<TiledMatrix> matrices = new LinkedHashSet<>();
        List<ExpertMlps> mixtures = new ArrayList<>();
        for (int i = 0; i < model.config().layers(); i++) {
            DecoderLayer layer = model.layer(i);
            Stream<Weight> feedForward = layer.feedForward().weights();
            if (layer.feedForward() instanceof ExpertMlps mlps) {
                mixtures.add(mlps);
                feedForward = mlps.shared().stream().flatMap(Mlp::weights);
            }
            Stream.concat(Stream.of(layer.q(), layer.k(), layer.v(), layer.o()), feedForward)
                    .forEach(weight -> {
                        if (weight instanceof CudaWeight.Tiled tiled) {
                            matrices.add(tiled.matrix());
                        }
                    });
        }
        model.config().experts().ifPresent(of -> codes.addAll(GroupedExperts.codes(mixtures, of, rows)));
        if (model.head() instanceof CudaWeight.Tiled head) {
            matrices.add(head.matrix());
        }
        matrices.forEach(matrix -> codes.addAll(backend.products.codes(matrix, rows)));
        return codes;
    }

    /** Has room for rows that a product wants arranged. */
    private CudaMatrix activations(int columns) {
        return zeros(BatchRows.classOf(rows), columns, false);
    }

    /** Zeros: rows that a step does not need are never infinite. */
    private CudaMatrix zeros(int count, int columns, boolean single) {
        Matrix zeros = single ? backend.allocateSingle(count, columns) : backend.allocate(count, columns);
        closing.add(zeros::close);
        return CudaMatrix.of(card, zeros);
    }

    private CudaMatrix first(CudaMatrix matrix, int count) {
        return new CudaMatrix(card, matrix.buffer(), count, matrix.columns(), matrix.single());
    }

    @Override
    public int mostRows() {
        return rows;
    }

    @Override
    public int mostLogits() {
        return MOST_ROWS;
    }

    @Override
    public List<RowLogits> next(List<Row> next) {
        requireRows(next.size(), rows);
        int columns = 0;
        for (Row row : next) {
            Extents.ids(model.embedding(), new int[] {row.id()});
            if (row.position() < 0 || row.position() >= cache.contextTokens()) {
                throw new IllegalArgumentException("position " + row.position() + " of a sequence of at most "
                        + cache.contextTokens() + " tokens");
            }
            int needed = row.position() / PagedAttention.BLOCK_TOKENS + 1;
            if (row.blocks().length < needed) {
                throw new IllegalArgumentException(
                        row.blocks().length + " blocks of a sequence, " + needed + " needed for its next token");
            }
            columns = Math.max(columns, needed);
        }
        inputs.begin(columns);
        for (int i = 0; i < next.size(); i++) {
            Row row = next.get(i);
            inputs.token(i, row.id(), row.wanted());
            inputs.keys(i, row.position(), row.blocks(), attending.shape());
        }
        inputs.upload();
        step(next.size()).run();
        return best.read(next.stream().map(Row::wanted).toList());
    }

    private Step step(int count) {
        int size = rows;
        for (int c : CLASSES) {
            if (c >= count && c < size) {
                size = c;
            }
        }
        return steps.computeIfAbsent(size, Step::new);
    }

    @Override
    public List<RowLogits> logits(Matrix hidden, int[] from, List<Wanted> wanted) {
        requireRows(from.length, mostLogits());
        wishes.begin(0);
        for (int i = 0; i < from.length; i++) {
            backend.copyRows(hidden, from[i], 1, most.hidden(), i);
            wishes.wanted(i, wanted.get(i));
        }
        wishes.upload();
        findBest(from.length, wishes);
        return best.read(wanted);
    }

    /** Makes logits of the first rows of the residual stream, and finds the greatest. */
    private void findBest(int count, PagedInputs wanted) {
        CudaMatrix normed = first(most.normed(), count);
        backend.norm(
                first(most.hidden(), count), model.finalNorm(), model.config().streamNormEps(), normed);
        backend.linear(model.head(), normed, first(logits, count));
        best.find(count, wanted);
    }

    private static void requireRows(int count, int most) {
        if (count < 1 || count > most) {
            throw new IllegalArgumentException(count + " rows of a step, 1 to " + most + " expected");
        }
    }

    @Override
    public void close() {
        card.stream().synchronize();
        steps.values().forEach(Step::close);
        closing.reversed().forEach(Runnable::run);
    }
}
