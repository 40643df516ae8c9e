package nibble.calibrate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaLinear;
import nibble.convert.OutputException;
import nibble.convert.OutputFolder;
import nibble.convert.TensorNames;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backend;
import nibble.pack.AwqCheckpointPlan;
import nibble.pack.AwqCheckpointWriter;

/** From a checkpoint to an AWQ checkpoint on disk. */
public final class CheckpointQuantizer {
    /** The report's name in the output folder. It holds no wall times: the same inputs give the same bytes. */
    public static final String REPORT = "quantization_report.json";

    private CheckpointQuantizer() {}

    /**
     * Quantizes {@code source} into the folder {@code out}, which appears whole or not at all.
     *
     * @param out must not exist yet, or be empty
     * @param blocks calibration tokens: needed by AWQ
     * @throws nibble.convert.BadCheckpointException if the source is quantized already, a shape does not fit the spec, or a
     *     weight is not finite
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static QuantizationReport quantize(
            Checkpoint source,
            Path out,
            Optional<TokenBlocks> blocks,
            QuantizeOptions options,
            Backend backend,
            ProgressListener listener) {
        Quantizer.requireFits(source.config(), source.folder().resolve("config.json"), options.spec());
        AwqCheckpointPlan plan = AwqCheckpointPlan.of(source.config(), options.spec(), options.maxShardBytes());
        try (OutputFolder folder = OutputFolder.begin(out);
                AwqCheckpointWriter writer = new AwqCheckpointWriter(source, folder.path(), plan)) {
            // First, so that a damaged embedding is found before hours of search.
            writer.carryOuterTensors();
            QuantizationReport report = Quantizer.run(
                    source, blocks, options, backend, (layer, quantized) -> write(writer, layer, quantized), listener);
            writer.finish();
            Path file = folder.path().resolve(REPORT);
            try {
                Files.writeString(file, report.toReproducibleJson());
            } catch (IOException e) {
                throw OutputException.of(file, "writing", e);
            }
            folder.commit();
            return report;
        }
    }

    private static void write(AwqCheckpointWriter writer, int layer, QuantizedLayer quantized) {
        writer.write(TensorNames.inputNorm(layer), quantized.inputNorm());
        for (LlamaLinear linear : LlamaLinear.values()) {
            writer.write(linear, layer, quantized.linear(linear));
        }
        writer.write(TensorNames.postAttentionNorm(layer), quantized.postAttentionNorm());
    }
}
