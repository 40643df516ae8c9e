package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaGraph;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelStruct;
import nibble.engine.cuda.driver.PinnedMemory;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.PlacedModel;

/**
 * Decodes one token at a time. {@code decode_step.cu} computes a token in one launch. One CUDA graph holds the upload
 * of the token, the launch and the download of the logits. It reads token and position from memory, so it serves every
 * token. Owns its buffers.
 */
final class CudaDecoder implements Decoder {
    private static final String FILE = "decode_step.cu";
    /** Says that the residual stream is there already. */
    private static final int NO_TOKEN = -1;

    private static final int STEP_BYTES = 2 * Integer.BYTES;
    /** Head sizes and hidden sizes that the kernel is made for. */
    private static final int MOST_HIDDEN = 16384;

    private final CudaBackend backend;
    private final CudaStream stream;
    private final KeyValueCache cache;
    private final int vocabulary;
    /** Closes what was made, the last first. */
    private final List<Runnable> closing = new ArrayList<>();

    private final PinnedMemory step;
    private final PinnedMemory logits;
    private final PinnedMemory entering;
    private final DeviceMemory.Buffer hidden;
    private final CudaGraph graph;
    /** Logits of the last token: an array for each token would take as long as some layers. */
    private final float[] returned;

    private CudaDecoder(CudaBackend backend, CudaPlacedModel model, KeyValueCache cache, RotaryTable table) {
        this.backend = backend;
        this.stream = backend.resources().stream();
        this.cache = cache;
        ModelConfig config = model.config();
        this.vocabulary = config.vocabularySize();
        this.returned = new float[vocabulary];
        try {
            this.step = pinned(STEP_BYTES);
            this.logits = pinned(Math.multiplyExact(Float.BYTES, vocabulary));
            this.entering = pinned(Math.multiplyExact(Float.BYTES, config.hiddenSize()));
            int heads = config.heads();
            int headDim = config.headDim();
            int perKv = heads / config.kvHeads();
            Map<String, Integer> constants = new HashMap<>(
                    Map.of("HEAD_DIM", headDim, "QUERIES_PER_KV", perKv, "NORM_COLUMNS", config.hiddenSize()));
            constants.putAll(DecodedTypes.of(model).orElseThrow().constants());
            DecodedExperts experts = DecodedExperts.of(model).orElseThrow();
            constants.putAll(experts.constants());
            boolean extras = !model.layer(0).extras().isEmpty();
            if (extras) {
                constants.put("HEAD_EXTRAS", config.architecture().headNorm() == HeadNorm.ALL_HEADS ? 2 : 1);
            }
            Launch launch = Launch.of(
                    backend.resources().kernels().integers(FILE, "decode_step_launch", constants),
                    config,
                    experts,
                    backend.resources().device());
            int headBlocks = (perKv + 15) / 16;
            int splits = Math.max(1, backend.resources().device().multiprocessors() / (config.kvHeads() * headBlocks));
            DeviceMemory.Buffer layers = layers(model, experts, extras, launch.layerBytes);
            DeviceMemory.Buffer stepOnCard = buffer(STEP_BYTES);
            this.hidden = buffer(4L * config.hiddenSize());
            DeviceMemory.Buffer qkv = buffer(2L * (heads + 2 * config.kvHeads()) * headDim);
            DeviceMemory.Buffer attended = buffer(2L * heads * headDim);
            DeviceMemory.Buffer gated = buffer(2L * Math.max(config.intermediateSize(), experts.gated()));
            DeviceMemory.Buffer scores = buffer(Math.max(1L, 8L * experts.scores()));
            DeviceMemory.Buffer logitsOnCard = buffer(4L * vocabulary);
            DeviceMemory.Buffer partials = buffer(4L * heads * splits * (headDim + 2));
            DeviceMemory.Buffer tickets = zeros(4 * config.kvHeads() * headBlocks);
            DeviceMemory.Buffer barrier = zeros(8);
            DeviceMemory.Buffer angles = backend.vectors().bringAngles(table);
            closing.add(angles::close);
            Kernel kernel = backend.resources().kernels().kernel(FILE, "decode_step", constants);
            KernelStruct arguments = backend.resources()
                    .kernels()
                    .struct(FILE, "decode_step_fields", constants)
                    .set("layers", layers.address())
                    .set("embedding", DecodedTypes.address(model.embedding()))
                    .set("final_norm", norm(model.finalNorm().gain()))
                    .set("head", DecodedTypes.address(model.head()))
                    .set("cos", angles.address())
                    .set("sin", angles.address() + 4L * table.cos().length)
                    .set("step", stepOnCard.address())
                    .set("hidden_state", hidden.address())
                    .set("qkv", qkv.address())
                    .set("attended", attended.address())
                    .set("gated", gated.address())
                    .set("logits", logitsOnCard.address())
                    .set("partials", partials.address())
                    .set("tickets", tickets.address())
                    .set("barrier", barrier.address())
                    .set("scores", scores.address())
                    .set("layer_count", config.layers())
                    .set("hidden", config.hiddenSize())
                    .set("mlp", config.intermediateSize())
                    .set("expert_width", experts.width())
                    .set("shared_width", experts.sharedWidth())
                    .set("vocab", vocabulary)
                    .set("kv_heads", config.kvHeads())
                    .set("splits", splits)
                    .set("slots", launch.slots)
                    .set("epsilon", (float) config.streamNormEps())
                    .set("head_epsilon", (float) config.rmsNormEps())
                    .set("scale", (float) (config.multipliers().score() / Math.log(2)));
            kernel.allowShared(launch.sharedBytes);
            int blocks = backend.resources().device().multiprocessors();
            this.graph = CudaGraph.record(stream, "a decode step", () -> {
                step.toDevice(stepOnCard, 0, STEP_BYTES, stream);
                kernel.launchTogether(stream, Kernel.Grid.of(blocks), launch.threads, launch.sharedBytes, arguments);
                logits.fromDevice(logitsOnCard, 0, logits.bytes(), stream);
            });
            closing.add(graph::close);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /**
     * The decoder of a model, if there is one for it: not where layers stream through the card, nor where the rotary
     * table changes with the length of the sequence or differs by layer, nor for what the kernel does not compute,
     * which is all but Llama's own layers with biases and norms of queries and keys, and mixtures of experts.
     */
    static Optional<Decoder> of(CudaBackend backend, PlacedModel placed, KeyValueCache cache) {
        ModelConfig config = placed.config();
        if (!(placed instanceof CudaPlacedModel model)
                || !config.attendsAlike()
                || config.latent().isPresent()
                || config.architecture().hasSinks()
                || config.architecture().isParallel()
                || config.architecture().turnsNeighbours()
                || cache.capacity() > RotaryTable.steadyLength(config)) {
            return Optional.empty();
        }
        boolean fits = model.allResident()
                && DecodedTypes.of(model).isPresent()
                && DecodedExperts.of(model).isPresent()
                && model.layer(0).extras().concernsHeadsAlone()
                && model.layer(0).norms().keySet().containsAll(Set.of(LayerNorm.ATTENTION_IN, LayerNorm.MLP_IN))
                && config.architecture().activation() == Activation.SILU
                && model.finalNorm().isPlain()
                && config.embeddingScale() == 1f
                && config.multipliers().scoreCap() == 0
                && config.multipliers().logitCap() == 0
                && !config.architecture().biasesHead(config.json())
                && cache.capacity() <= config.window()
                && config.headDim() % 8 == 0
                && config.headDim() <= 256
                && config.hiddenSize() <= MOST_HIDDEN
                && config.hiddenSize() % 32 == 0
                && config.intermediateSize() % 32 == 0
                && config.heads() * config.headDim() % 32 == 0;
        return fits
                ? Optional.of(new CudaDecoder(
                        backend, model, cache, RotaryTable.of(config, config.rope(), cache.capacity(), 0)))
                : Optional.empty();
    }

    /** Threads, shared memory and ring slots of the kernel, bytes of its {@code struct Layer}. */
    private record Launch(int threads, int sharedBytes, int slots, int layerBytes) {
        /** @param of the kernel file's {@code decode_step_launch} */
        static Launch of(int[] of, ModelConfig config, DecodedExperts experts, CudaDevice device) {
            int unitBytes = of[1];
            int warps = of[2];
            int widest = Math.max(
                    Math.max(config.hiddenSize(), config.intermediateSize()), config.heads() * config.headDim());
            int padded = Math.max((widest + 255) / 256 * 256, experts.gatedInUnits(of[7]));
            int fixed = of[4] + 256 + of[5] * config.layers() + of[6] + of[8] + Math.max(2 * (padded + 32), of[3]);
            int perSlot = warps * (unitBytes + 32);
            int slots = (device.sharedBytesPerBlock() - 256 - fixed) / perSlot;
            if (slots < 1) {
                throw new IllegalStateException("the decode step needs " + (fixed + perSlot)
                        + " bytes of shared memory, the device has " + device.sharedBytesPerBlock());
            }
            return new Launch(of[0], fixed + slots * perSlot, slots, of[5]);
        }
    }

    /** The layers as {@code struct Layer} has them. */
    private DeviceMemory.Buffer layers(
            CudaPlacedModel model, DecodedExperts experts, boolean extras, int bytesOfLayer) {
        List<Long> pointers = new ArrayList<>();
        for (int i = 0; i < model.config().layers(); i++) {
            DecoderLayer layer = model.layer(i);
            pointers.addAll(List.of(
                    DecodedTypes.typed(layer.q()),
                    DecodedTypes.typed(layer.k(), layer.q()),
                    DecodedTypes.typed(layer.v(), layer.k()),
                    DecodedTypes.typed(layer.o())));
            pointers.addAll(DecodedExperts.first(layer));
            pointers.addAll(List.of(
                    norm(layer.inputNorm()),
                    norm(layer.postAttentionNorm()),
                    CudaMatrix.of(backend.resources(), cache.keys(i), false).address(),
                    CudaMatrix.of(backend.resources(), cache.values(i), false).address()));
            if (extras) {
                pointers.add(biases(layer.extras().biases(), model.config()));
                pointers.add(gains(layer.extras().headNorms()));
            }
            pointers.addAll(experts.pointers(layer));
        }
        if (8L * pointers.size() != (long) bytesOfLayer * model.config().layers()) {
            throw new IllegalStateException(pointers.size() + " pointers of "
                    + model.config().layers() + " layers, the kernel takes " + bytesOfLayer + " bytes a layer");
        }
        DeviceMemory.Buffer buffer = buffer(8L * pointers.size());
        long[] values = pointers.stream().mapToLong(Long::longValue).toArray();
        backend.resources().transfers().bring(MemorySegment.ofArray(values), buffer);
        return buffer;
    }

    /** Biases of queries, keys and values one after another, zeros where a linear has none; 0 without any. */
    private long biases(Map<Linear, float[]> biases, ModelConfig config) {
        if (biases.isEmpty()) {
            return 0;
        }
        float[] all = new float[(config.heads() + 2 * config.kvHeads()) * config.headDim()];
        int at = 0;
        for (Linear linear : List.of(Linear.Q, Linear.K, Linear.V)) {
            float[] bias = biases.get(linear);
            if (bias != null) {
                System.arraycopy(bias, 0, all, at, bias.length);
            }
            at += config.outFeatures(linear);
        }
        return single(all);
    }

    /** Gains of queries, then of keys; 0 without any. */
    private long gains(Optional<LayerExtras.HeadNorms> norms) {
        if (norms.isEmpty()) {
            return 0;
        }
        float[] query = norms.get().query();
        float[] key = norms.get().key();
        float[] both = Arrays.copyOf(query, query.length + key.length);
        System.arraycopy(key, 0, both, query.length, key.length);
        return single(both);
    }

    private long single(float[] values) {
        DeviceMemory.Buffer buffer = buffer(4L * values.length);
        backend.resources().transfers().bring(MemorySegment.ofArray(values), buffer);
        return buffer.address();
    }

    /** A copy of a norm that lives as long as the graph which reads it. */
    private long norm(float[] values) {
        DeviceMemory.Buffer buffer = backend.vectors().bringHalf(values);
        closing.add(buffer::close);
        return buffer.address();
    }

    private DeviceMemory.Buffer buffer(long bytes) {
        DeviceMemory.Buffer buffer = backend.resources().memory().allocate(bytes, "a decode step");
        closing.add(buffer::close);
        return buffer;
    }

    private PinnedMemory pinned(int bytes) {
        PinnedMemory pinned = new PinnedMemory(bytes);
        closing.add(pinned::close);
        return pinned;
    }

    private DeviceMemory.Buffer zeros(int bytes) {
        DeviceMemory.Buffer buffer = buffer(bytes);
        backend.resources().transfers().bring(MemorySegment.ofArray(new byte[bytes]), buffer);
        return buffer;
    }

    @Override
    public float[] next(int id) {
        return step(id);
    }

    @Override
    public float[] next(float[] values) {
        if (values.length * (long) Float.BYTES != entering.bytes()) {
            throw new IllegalArgumentException(values.length + " values of the residual stream given, "
                    + entering.bytes() / Float.BYTES + " expected");
        }
        MemorySegment.copy(values, 0, entering.segment(), ValueLayout.JAVA_FLOAT, 0, values.length);
        entering.toDevice(hidden, 0, entering.bytes(), stream);
        return step(NO_TOKEN);
    }

    private float[] step(int id) {
        step.segment().setAtIndex(ValueLayout.JAVA_INT, 0, id);
        step.segment().setAtIndex(ValueLayout.JAVA_INT, 1, cache.length());
        graph.launch(stream);
        stream.synchronize();
        MemorySegment.copy(logits.segment(), ValueLayout.JAVA_FLOAT, 0, returned, 0, vocabulary);
        return returned;
    }

    @Override
    public void close() {
        stream.synchronize();
        closing.reversed().forEach(Runnable::run);
    }
}
