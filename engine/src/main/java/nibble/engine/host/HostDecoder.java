package nibble.engine.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.LayerProgram;
import nibble.engine.host.natives.LayerSteps;
import nibble.engine.host.natives.ProgramRoom;
import nibble.engine.host.natives.RowSteps;
import nibble.engine.host.stored.FewRows;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import org.jspecify.annotations.Nullable;

/**
 * Decodes one token at a time by programs of the library, one for each layer. It computes what {@code Forward}
 * computes, with the same bits. A small model's token otherwise spends more time on the way to the kernels than in
 * them, and most of all before the compiler has come to that way.
 */
final class HostDecoder implements Decoder {
    /** Positions of the first tables of rope; they double. */
    private static final int FIRST_POSITIONS = 256;

    private static final float[] NONE = {};

    private final ModelConfig config;
    private final PlacedModel model;
    private final KeyValueCache cache;
    private final Workers workers;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final ProgramRoom room;
    private final Map<Rope, Angles> angles = new HashMap<>();

    private final float[] entering;
    private final float[] returned;
    private final MemorySegment stream;
    private final MemorySegment normed;
    private final MemorySegment query;
    private final MemorySegment key;
    private final MemorySegment value;
    private final MemorySegment attended;
    private final MemorySegment gate;
    private final MemorySegment up;
    /** What o or down give. */
    private final MemorySegment added;

    private final MemorySegment logits;
    private final List<Layer> layers = new ArrayList<>();
    private final LayerProgram head;
    /** What the weights are read from, which must be there as long as they are. */
    private final List<MemorySegment.Scope> files;

    private HostDecoder(PlacedModel model, KeyValueCache cache, Workers workers, Kernels kernels) {
        this.config = model.config();
        this.model = model;
        this.cache = cache;
        this.workers = workers;
        this.kernels = kernels;
        this.room = new ProgramRoom(workers, kernels, arena);
        AttentionShape heads = AttentionShape.of(config);
        entering = new float[config.hiddenSize()];
        returned = new float[model.head().outFeatures()];
        stream = room.floats(config.hiddenSize());
        normed = room.floats(config.hiddenSize());
        query = room.floats(heads.queryColumns());
        key = room.floats(heads.keyColumns());
        value = room.floats(heads.keyColumns());
        attended = room.floats(heads.queryColumns());
        gate = room.floats(config.mlpColumns());
        up = room.floats(config.mlpColumns());
        added = room.floats(config.hiddenSize());
        logits = room.floats(returned.length);
        for (int i = 0; i < config.layers(); i++) {
            layers.add(new Layer(i, model.layer(i)));
        }
        LayerSteps last = new LayerSteps(room);
        last.norm(stream, model.finalNorm().gain(), config.streamNormEps(), normed);
        products(last, normed, List.of(model.head()), logits);
        head = last.build();
        files = Stream.concat(
                        Stream.of(model.head()),
                        IntStream.range(0, config.layers())
                                .boxed()
                                .flatMap(i -> model.layer(i).weights()))
                .flatMap(weight -> StoredWeights.mapped(weight).stream())
                .map(MemorySegment::scope)
                .distinct()
                .toList();
    }

    /**
     * Returns the decoder of a model, if there is one for it: not where the rotary table depends on the length of the
     * sequence, nor for what this does not compute. Experts, keys from narrow vectors, and attention with caps, sinks
     * or chunks are left to {@code Forward}.
     */
    static Optional<Decoder> of(PlacedModel model, KeyValueCache cache, Workers workers, Kernels kernels) {
        ModelConfig config = model.config();
        boolean computes = config.latent().isEmpty()
                && config.experts().isEmpty()
                && !config.architecture().isParallel()
                && !config.architecture().turnsNeighbours()
                && !config.architecture().centersNorms()
                && !config.architecture().hasSinks()
                && config.architecture().headNorm() != HeadNorm.CENTERED
                && model.finalNorm().isPlain()
                && config.multipliers().scoreCap() == 0
                && config.multipliers().logitCap() == 0
                && !config.architecture().biasesHead(config.json())
                && config.attention().stream()
                        .noneMatch(layer ->
                                layer.hasChunks() || layer.temperature().isPresent())
                && cache.capacity() <= RotaryTable.steadyLength(config)
                && Kernels.attendsTo(config.headDim())
                && FewRows.isCompiled(model.head(), 1, kernels)
                && IntStream.range(0, config.layers()).allMatch(i -> computes(model.layer(i), cache, i, kernels));
        return computes ? Optional.of(new HostDecoder(model, cache, workers, kernels)) : Optional.empty();
    }

    private static boolean computes(DecoderLayer layer, KeyValueCache cache, int index, Kernels kernels) {
        return layer.extras().vectors().isEmpty()
                && layer.inputNorm().length > 0
                && layer.postAttentionNorm().length > 0
                && layer.weights().allMatch(weight -> FewRows.isCompiled(weight, 1, kernels))
                && cache.keys(index) instanceof HostMatrix
                && cache.values(index) instanceof HostMatrix;
    }

    private void products(LayerSteps to, MemorySegment x, List<Weight> weights, MemorySegment... outs) {
        RowSteps products = to.products(x);
        for (int i = 0; i < outs.length; i++) {
            FewRows.of(weights.get(i), workers.threads(), kernels).record(products, outs[i]);
        }
        products.end();
    }

    @Override
    public float[] next(int id) {
        WeightRows.read(model.embedding(), id, 0, entering.length, entering, 0);
        if (config.embeddingScale() != 1f) {
            for (int i = 0; i < entering.length; i++) {
                entering[i] *= config.embeddingScale();
            }
        }
        return next(entering);
    }

    @Override
    public float[] next(float[] hidden) {
        for (MemorySegment.Scope file : files) {
            if (!file.isAlive()) {
                throw new IllegalStateException("the model's files are closed");
            }
        }
        MemorySegment.copy(hidden, 0, stream, ValueLayout.JAVA_FLOAT, 0, entering.length);
        int position = cache.length();
        for (Layer layer : layers) {
            layer.run(position);
        }
        head.run(position, NONE, NONE);
        MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, 0, returned, 0, returned.length);
        return returned;
    }

    /** A rope's cosines and sines where programs find them. */
    private record Angles(MemorySegment cosines, MemorySegment sines, int positions, int half) {}

    private Angles angles(Rope rope, int position) {
        Angles found = angles.get(rope);
        if (found == null || found.positions <= position) {
            int wanted = Math.max(FIRST_POSITIONS, 2 * (position + 1));
            RotaryTable table = RotaryTable.of(config, rope, Math.min(wanted, cache.capacity()), 0);
            found = new Angles(room.copy(table.cos()), room.copy(table.sin()), table.positions(), table.half());
            angles.put(rope, found);
        }
        return found;
    }

    /** One decoder layer as a program. */
    private final class Layer {
        private final DecoderLayer weights;
        private final @Nullable Rope rope;
        private final float[] keys;
        private final float[] values;
        private final LayerProgram program;
        /** Of rope, as far as the program has them. */
        private @Nullable Angles angles;

        Layer(int index, DecoderLayer weights) {
            LayerAttention attention = config.attention(index);
            AttentionShape shape = AttentionShape.of(config, attention);
            this.weights = weights;
            this.rope = attention.rope().orElse(null);
            this.keys = HostMatrix.values(cache.keys(index));
            this.values = HostMatrix.values(cache.values(index));
            LayerSteps to = new LayerSteps(room);
            to.norm(stream, weights.inputNorm(), config.streamNormEps(), normed);
            products(to, normed, List.of(weights.q(), weights.k(), weights.v()), query, key, value);
            bias(to, Linear.Q, query);
            bias(to, Linear.K, key);
            bias(to, Linear.V, value);
            weights.extras().headNorms().ifPresent(norms -> {
                to.norm(query, norms.query(), config.rmsNormEps(), query);
                to.norm(key, norms.key(), config.rmsNormEps(), key);
            });
            if (rope != null) {
                int half = HostDecoder.this.angles(rope, 0).half;
                to.turn(query, config.headDim(), half);
                to.turn(key, config.headDim(), half);
            }
            to.keep(key, value);
            to.attend(shape, query, attended, cache.capacity());
            products(to, attended, List.of(weights.o()), added);
            add(to, Linear.O, LayerNorm.ATTENTION_OUT);
            to.norm(stream, weights.postAttentionNorm(), config.streamNormEps(), normed);
            products(to, normed, List.of(weights.gate(), weights.up()), gate, up);
            bias(to, Linear.GATE, gate);
            bias(to, Linear.UP, up);
            to.gate(config.architecture().activation(), gate, up);
            products(to, gate, List.of(weights.down()), added);
            add(to, Linear.DOWN, LayerNorm.MLP_OUT);
            this.program = to.build();
        }

        void run(int position) {
            Angles present = angles;
            if (rope != null && (present == null || present.positions <= position)) {
                present = HostDecoder.this.angles(rope, position);
                program.setAngles(present.cosines, present.sines);
                angles = present;
            }
            program.run(position, keys, values);
        }

        private void bias(LayerSteps to, Linear linear, MemorySegment into) {
            float[] bias = weights.extras().biases().get(linear);
            if (bias != null) {
                to.addBias(bias, into);
            }
        }

        private void add(LayerSteps to, Linear linear, LayerNorm behind) {
            float[] gain = weights.extras().innerNorms().get(behind);
            if (gain == null) {
                to.add(added, stream);
                bias(to, linear, stream);
            } else {
                bias(to, linear, added);
                to.norm(added, gain, config.rmsNormEps(), added);
                to.add(added, stream);
            }
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
