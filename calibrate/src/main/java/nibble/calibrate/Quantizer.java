package nibble.calibrate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;
import nibble.calibrate.ProgressListener.Stage;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.TensorNames;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backend;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.LinearInput;
import nibble.engine.Workers;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/** The layer-by-layer pipeline: read a layer, run the calibration text through it, quantize it, hand it on, forget it. */
public final class Quantizer {
    private Quantizer() {}

    /**
     * Quantizes all layers of a checkpoint, in order.
     *
     * @param blocks calibration tokens: needed by AWQ; with RTN only output errors are measured on them
     * @param sink takes each layer; what is not part of a layer is the caller's
     * @throws BadCheckpointException if the source is quantized already, a shape does not fit the spec, or a weight is not
     *     finite
     */
    public static QuantizationReport run(
            Checkpoint source,
            Optional<TokenBlocks> blocks,
            QuantizeOptions options,
            Backend backend,
            LayerSink sink,
            ProgressListener listener) {
        requireFits(source.config(), source.folder().resolve("config.json"), options.spec());
        if (options.method() == Method.AWQ && blocks.isEmpty()) {
            throw new IllegalArgumentException("method awq needs calibration tokens");
        }
        LlamaConfig config = source.config();
        long tokens = blocks.map(TokenBlocks::tokens).orElse(0L);
        Progress progress = new Progress(listener, config.layers(), Work.layer(config, options, tokens));
        List<QuantizationReport.Layer> layers = new ArrayList<>();
        try (Workers workers = new Workers(options.threads());
                Calibration calibration = new Calibration(source, blocks, backend)) {
            LayerQuantizer quantizer = new LayerQuantizer(config, options.spec(), backend, workers, progress);
            for (int layer = 0; layer < config.layers(); layer++) {
                progress.layer(layer);
                progress.stage(Stage.READ);
                LayerSource weights = LayerSource.read(source, layer);
                LayerQuantizer.Outcome outcome;
                progress.stage(Stage.FORWARD);
                try (LayerStatistics statistics = calibration.advance(layer, progress)) {
                    outcome = options.method() == Method.AWQ && statistics != null
                            ? quantizer.quantize(weights, statistics)
                            : quantizer.round(weights, statistics);
                }
                progress.stage(Stage.WRITE);
                sink.accept(layer, outcome.layer());
                layers.add(outcome.report());
                progress.layerFinished(outcome.report());
            }
        }
        progress.endStage();
        return new QuantizationReport(
                options.method(),
                options.spec().bits(),
                options.spec().groupSize(),
                blocks.map(Quantizer::describe).orElse(null),
                mean(layers, QuantizationReport.Linear::relativeError),
                mean(layers, QuantizationReport.Linear::rtnRelativeError),
                layers,
                progress.seconds());
    }

    /** The stream of calibration blocks, if there are any. */
    private static final class Calibration implements AutoCloseable {
        private final Checkpoint source;
        private final int[][] blocks;
        private final @Nullable CalibrationStream stream;

        Calibration(Checkpoint source, Optional<TokenBlocks> blocks, Backend backend) {
            this.source = source;
            this.blocks = blocks.map(TokenBlocks::blocks).orElse(new int[0][]);
            this.stream = blocks.isEmpty()
                    ? null
                    : new CalibrationStream(
                            source.config(),
                            new DenseWeight(source.tensor(TensorNames.EMBEDDING)),
                            this.blocks,
                            backend);
        }

        @Nullable LayerStatistics advance(int layer, Progress progress) {
            if (stream == null) {
                return null;
            }
            LayerStatistics statistics = stream.advance(
                    DecoderLayer.read(source, layer),
                    done -> progress.add(Work.forward(source.config(), blocks[done - 1].length)));
            for (LinearInput input : LinearInput.values()) {
                for (double mean : statistics.meanAbsolute(input)) {
                    if (!Double.isFinite(mean)) {
                        throw new BadCheckpointException(
                                source.folder(),
                                "layer " + layer + ", input " + input + ": the activations of the calibration text are not"
                                        + " finite, so these are not the weights of a working model; download them again");
                    }
                }
            }
            return statistics;
        }

        @Override
        public void close() {
            if (stream != null) {
                stream.close();
            }
        }
    }

    /**
     * Refuses, before any work, a model that cannot be quantized so.
     *
     * @param configJson where the config was read, for messages
     * @throws BadCheckpointException if the model is quantized already or a linear's shape does not fit the spec
     */
    public static void requireFits(LlamaConfig config, Path configJson, QuantizationSpec spec) {
        config.quantization().ifPresent(found -> {
            throw new BadCheckpointException(
                    configJson,
                    "this checkpoint is quantized already (" + found.method() + ", " + found.bits()
                            + " bits, group size " + found.groupSize() + "); start from the fp16 original");
        });
        for (LlamaLinear linear : LlamaLinear.values()) {
            try {
                spec.check(config.spec(linear, 0).name(), config.outFeatures(linear), config.inFeatures(linear));
            } catch (IllegalArgumentException e) {
                throw new BadCheckpointException(configJson, e.getMessage(), e);
            }
        }
    }

    private static QuantizationReport.Calibration describe(TokenBlocks blocks) {
        MessageDigest sha256;
        try {
            sha256 = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
        for (int[] block : blocks.blocks()) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * block.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(block);
            sha256.update(bytes);
        }
        return new QuantizationReport.Calibration(
                blocks.description(),
                HexFormat.of().formatHex(sha256.digest()),
                blocks.blocks().length,
                blocks.tokens(),
                blocks.tokensFound());
    }

    private static @Nullable Double mean(
            List<QuantizationReport.Layer> layers, Function<QuantizationReport.Linear, @Nullable Double> error) {
        OptionalDouble mean = layers.stream()
                .flatMap(layer -> layer.linears().stream())
                .map(error)
                .filter(java.util.Objects::nonNull)
                .mapToDouble(value -> value)
                .average();
        return mean.isPresent() ? mean.getAsDouble() : null;
    }
}
