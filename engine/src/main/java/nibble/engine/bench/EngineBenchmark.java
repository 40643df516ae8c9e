package nibble.engine.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.Llama;
import nibble.engine.Session;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Workers;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Times a backend on random weights. Every layer has weights of its own in memory, so that none stays in a cache;
 * activations are random too, because power, and so clocks, depend on the data.
 */
public final class EngineBenchmark {
    private static final double ENOUGH_SECONDS = 1.0;
    private static final int LEAST_REPEATS = 5;
    private static final int MOST_REPEATS = 400;
    /** Rows up to which a product should take little more time than it takes to read the weights. */
    private static final int MOST_ROWS_OF_A_STEP = 64;

    /**
     * Says what to time.
     *
     * @param config of the model, with as many layers as shall lie in memory
     * @param shapeLayers layers of the whole model, for tokens/s
     * @param quantization null for fp16 weights, and for blocks
     * @param blocks types of a GGUF file's weights, else null
     * @param decodeTokens tokens to generate; 0 for none
     */
    public record Settings(
            ModelConfig config,
            int shapeLayers,
            @Nullable QuantizationSpec quantization,
            @Nullable BlockTypes blocks,
            int sequences,
            int tokens,
            int decodeContext,
            int decodeTokens) {}

    /**
     * Names the types of a GGUF file's weights.
     *
     * @param name of the mixture
     * @param linears type of a linear of a layer
     */
    public record BlockTypes(
            String name, GgufType embedding, GgufType head, BiFunction<Linear, Integer, GgufType> linears) {}

    private final Settings settings;
    private final ModelConfig config;
    private final Backend backend;
    private final ActiveWeights active;
    private final Random random = new Random(3);
    private final List<EngineTimings.Operation> operations = new ArrayList<>();
    /** What a token reads, as a mean over the layers. */
    private Map<Linear, Double> bytesPerLinear = Map.of();

    private EngineBenchmark(Settings settings, Backend backend) {
        this.settings = settings;
        this.config = settings.config();
        this.backend = backend;
        this.active = new ActiveWeights(config, settings.quantization());
    }

    /**
     * Times the backend.
     *
     * @throws nibble.engine.backend.DeviceException if the device has not enough memory
     */
    public static EngineTimings run(Settings settings, Backend backend, int threads) {
        return with(settings, threads, model -> new EngineBenchmark(settings, backend).run(model));
    }

    /**
     * Times many sequences at once on the same weights.
     *
     * @throws nibble.engine.backend.DeviceException if the device has not enough memory
     */
    public static BatchTimings runBatch(
            Settings settings, BatchBenchmark.Settings batch, Backend backend, int threads) {
        return with(settings, threads, weights -> {
            try (Llama model = Llama.of(weights, backend)) {
                return BatchBenchmark.run(model, batch);
            }
        });
    }

    private static <T> T with(Settings settings, int threads, Function<ModelWeights, T> timing) {
        try (Arena arena = Arena.ofShared();
                Workers workers = new Workers(threads)) {
            RandomLayer weights = new RandomLayer(workers, arena);
            ModelConfig config = settings.config();
            float[] finalNorm = new float[config.hiddenSize()];
            Arrays.fill(finalNorm, 1f);
            BlockTypes blocks = settings.blocks();
            GgufType embedding = blocks == null ? GgufType.F16 : blocks.embedding();
            GgufType head = blocks == null ? GgufType.F16 : blocks.head();
            return timing.apply(new ModelWeights(
                    config,
                    weights.of("embedding", embedding, config.vocabularySize(), config.hiddenSize()),
                    layers(settings, weights),
                    new Norm(finalNorm),
                    weights.of("head", head, config.vocabularySize(), config.hiddenSize())));
        }
    }

    private static List<DecoderLayer> layers(Settings settings, RandomLayer weights) {
        ModelConfig config = settings.config();
        if (settings.blocks() != null) {
            return weights.blocks(config, settings.blocks().linears());
        }
        DecoderLayer layer = settings.quantization() == null
                ? weights.dense(config)
                : weights.quantized(config, settings.quantization());
        return Collections.nCopies(config.layers(), layer);
    }

    private EngineTimings run(ModelWeights weights) {
        this.bytesPerLinear = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.SEVEN) {
            bytesPerLinear.put(
                    linear,
                    weights.layers().stream()
                                    .mapToDouble(layer -> active.bytes(layer, linear))
                                    .sum()
                            / config.layers());
        }
        EngineTimings.Prefill prefill;
        EngineTimings.Decode decode;
        try (PlacedModel placed = backend.place(weights)) {
            prefill = prefill(placed);
            operations(placed);
        }
        decode = settings.decodeTokens() == 0 ? null : decode(weights);
        QuantizationSpec spec = settings.quantization();
        OptionalDouble read = backend.readBytesPerSecond();
        return new EngineTimings(
                backend.description(),
                settings.blocks() != null
                        ? settings.blocks().name()
                        : spec == null ? "fp16" : "awq, group size " + spec.groupSize(),
                config.layers(),
                prefill,
                decode,
                operations,
                read.isEmpty() ? null : read.getAsDouble(),
                read.isEmpty() ? null : backend.peakDeviceBytes());
    }

    private EngineTimings.Prefill prefill(PlacedModel placed) {
        int rows = settings.sequences() * settings.tokens();
        int layers = config.layers();
        try (Forward forward = new Forward(config, backend);
                Matrix hidden = forward.embed(placed.embedding(), ids(rows))) {
            double seconds = time(pass -> {
                        for (int i = 0; i < layers; i++) {
                            forward.layer(placed.layer(i), hidden, settings.sequences(), Taps.NONE);
                        }
                    })
                    / layers;
            return new EngineTimings.Prefill(
                    settings.sequences(),
                    settings.tokens(),
                    seconds,
                    2.0 * active.count() * rows / seconds,
                    rows / (seconds * settings.shapeLayers()));
        }
    }

    private int[] ids(int count) {
        return random.ints(count, 0, config.vocabularySize()).toArray();
    }

    /** Median seconds of a call, after some to warm up. Short calls are waited for several at a time. */
    private double time(IntConsumer call) {
        int done = 0;
        long start = System.nanoTime();
        while (done < 2 || (System.nanoTime() - start < ENOUGH_SECONDS * 5e8 && done < MOST_REPEATS)) {
            call.accept(done++);
            backend.synchronize();
        }
        double each = (System.nanoTime() - start) / 1e9 / done;
        int together = (int) Math.clamp(ENOUGH_SECONDS / LEAST_REPEATS / 20 / each, 1, 50);
        List<Double> times = new ArrayList<>();
        start = System.nanoTime();
        while (times.size() < LEAST_REPEATS
                || (System.nanoTime() - start < ENOUGH_SECONDS * 1e9 && times.size() < MOST_REPEATS)) {
            long before = System.nanoTime();
            for (int i = 0; i < together; i++) {
                call.accept(done++);
            }
            backend.synchronize();
            times.add((System.nanoTime() - before) / 1e9 / together);
        }
        Collections.sort(times);
        return times.get(times.size() / 2);
    }

    private void operations(PlacedModel placed) {
        int rows = settings.sequences() * settings.tokens();
        for (int r : IntStream.concat(IntStream.of(1, 16, 64).filter(r -> r < rows), IntStream.of(rows))
                .toArray()) {
            linears("q, k, v", placed, r, Linear.Q, Linear.K, Linear.V);
            linears("o", placed, r, Linear.O);
            if (config.experts().isPresent()) {
                experts(placed, r);
            } else {
                linears("gate, up", placed, r, Linear.GATE, Linear.UP);
                linears("down", placed, r, Linear.DOWN);
            }
        }
        AttentionShape heads = new AttentionShape(config.heads(), config.kvHeads(), config.headDim());
        try (Matrix query = activations(rows, heads.queryColumns());
                Matrix keys = activations(rows, heads.keyColumns());
                Matrix values = activations(rows, heads.keyColumns());
                Matrix out = backend.allocate(rows, heads.queryColumns())) {
            // Half the square of queries and keys, two products of two operations each.
            double flops =
                    2.0 * settings.sequences() * settings.tokens() * (double) settings.tokens() * heads.queryColumns();
            operation(
                    "attention",
                    rows,
                    flops,
                    0,
                    _ -> backend.attention(heads, settings.sequences(), query, 0, keys, values, out));
            RotaryTable table = RotaryTable.of(config, config.rope(), settings.tokens(), settings.tokens());
            operation(
                    "rope of q",
                    rows,
                    0,
                    4.0 * rows * heads.queryColumns(),
                    _ -> backend.rope(query, config.headDim(), table, settings.sequences(), 0));
        }
        float[] norm = new float[config.hiddenSize()];
        Arrays.fill(norm, 1f);
        try (Matrix x = activations(rows, config.hiddenSize());
                Matrix out = backend.allocate(rows, config.hiddenSize())) {
            operation("rmsNorm", rows, 0, 4.0 * rows * config.hiddenSize(), _ -> backend.rmsNorm(x, norm, 1e-5, out));
            int scored = Math.min(rows, 4096);
            try (Matrix some = activations(scored, config.hiddenSize())) {
                int[] next = ids(scored);
                operation(
                        "logProbabilities",
                        scored,
                        2.0 * scored * config.hiddenSize() * config.vocabularySize(),
                        0,
                        _ -> backend.logProbabilities(placed.head(), LogitRule.NONE, some, next));
            }
        }
        try (Matrix gate = activations(rows, config.intermediateSize());
                Matrix up = activations(rows, config.intermediateSize())) {
            operation(
                    "swiglu",
                    rows,
                    0,
                    6.0 * rows * config.intermediateSize(),
                    _ -> backend.glu(Activation.SILU, gate, up, up));
        }
    }

    /** Random, without as many random numbers as a large matrix has. */
    private Matrix activations(int rows, int columns) {
        Matrix matrix = backend.allocate(rows, columns);
        int some = Math.min(rows, 64);
        float[] values = new float[some * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        try (Matrix part = backend.upload(values, some, columns)) {
            for (int row = 0; row < rows; row += some) {
                backend.copyRows(part, 0, Math.min(some, rows - row), matrix, row);
            }
        }
        return matrix;
    }

    /** All of the second half of a layer with experts. */
    private void experts(PlacedModel placed, int rows) {
        double flops = 6.0
                * rows
                * config.hiddenSize()
                * ActiveWeights.columns(config.experts().orElseThrow());
        try (Forward forward = new Forward(config, backend);
                Matrix hidden = activations(rows, config.hiddenSize())) {
            operation("experts", rows, flops, 0, pass -> forward.mlp(placed.layer(pass % config.layers()), hidden));
        }
    }

    private void linears(String name, PlacedModel placed, int rows, Linear... linears) {
        int in = config.inFeatures(linears[0]);
        List<Matrix> outs = new ArrayList<>();
        long weights = 0;
        double bytes = 0;
        for (Linear linear : linears) {
            bytes += bytesPerLinear.getOrDefault(linear, 0.0);
            outs.add(backend.allocate(rows, config.outFeatures(linear)));
            weights += (long) config.outFeatures(linear) * in;
        }
        try (Matrix x = activations(rows, in)) {
            operation(
                    name, rows, rows == 1 ? 0 : 2.0 * weights * rows, rows <= MOST_ROWS_OF_A_STEP ? bytes : 0, pass -> {
                        DecoderLayer layer = placed.layer(pass % config.layers());
                        List<Weight> group =
                                Arrays.stream(linears).map(layer::weight).toList();
                        backend.linears(group, x, outs);
                    });
        } finally {
            outs.forEach(Matrix::close);
        }
    }

    private void operation(String name, int rows, double flops, double bytes, IntConsumer call) {
        operations.add(new EngineTimings.Operation(name, rows, time(call), flops, bytes));
    }

    private EngineTimings.Decode decode(ModelWeights weights) {
        int context = settings.decodeContext();
        int tokens = settings.decodeTokens();
        try (Llama model = Llama.of(weights, backend);
                Session session = model.session(context + tokens + 8)) {
            session.append(ids(context));
            double[] seconds = new double[tokens];
            for (int i = 0; i < tokens + 8; i++) {
                int[] id = ids(1);
                long start = System.nanoTime();
                session.append(id);
                if (i >= 8) {
                    seconds[i - 8] = (System.nanoTime() - start) / 1e9;
                }
            }
            Arrays.sort(seconds);
            double linears = bytesPerLinear.values().stream()
                    .mapToDouble(Double::doubleValue)
                    .sum();
            long bytes = (long) (linears * config.layers()) + StoredWeights.bytes(weights.head());
            return new EngineTimings.Decode(context, tokens, seconds[tokens / 2], bytes);
        }
    }
}
