package nibble.cli.option;

import java.nio.file.Path;
import java.util.Locale;
import nibble.calibrate.Quantizer;
import nibble.calibrate.job.BestSettings;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.tune.BestDefaults;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.cli.terminal.Terminal;
import nibble.engine.backend.Backend;
import nibble.files.FileSize;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for the kind of quantized checkpoint; shared by {@code quantize} and {@code plan}. */
public final class QuantizationOptions {
    @Option(
            names = "--method",
            paramLabel = "METHOD",
            defaultValue = "best",
            description =
                    "awq: activation-aware search of scales and clips. best: codes and scales fitted to the quantized"
                            + " model's own activations; about half of awq's loss, on the CPU or one or two cards. rtn:"
                            + " plain rounding. Default: ${DEFAULT-VALUE}.")
    private Method method = Method.BEST;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description =
                    "Steps of method best that tune codes, scales and norms by the divergence of the whole model; 0"
                            + " leaves them out. Default: 512 on a card, 256 on a CPU, fewer for large models.")
    private @Nullable Integer steps;

    @Option(
            names = "--fixed-codes",
            description = "Let these steps move scales and norms alone. The default where the device has no room for"
                    + " positions of codes, 12 bytes a weight.")
    private boolean fixedCodes;

    @Option(
            names = "--fit-samples",
            paramLabel = "N",
            description = "Blocks that method best fits layers to; its steps read all --samples. Default: 64 on a CPU,"
                    + " all on a card.")
    private @Nullable Integer fitSamples;

    @Option(
            names = "--bits",
            paramLabel = "N",
            defaultValue = "4",
            description =
                    "Bits of a weight: 4, or 8 with --format compressed-tensors or gptq. Default: ${DEFAULT-VALUE}.")
    private int bits = 4;

    @Mixin
    private GroupSize groupSize = new GroupSize();

    @Option(
            names = "--symmetric",
            description =
                    "Use codes around zero (-8 to 7 at 4 bits) without zero points, which GPTQModel and vLLM load in"
                            + " GPTQ's layout. The error is larger. The default for --format gptq and for --bits 8.")
    private boolean symmetric;

    @Option(
            names = "--asymmetric",
            description = "Give each group a zero point of its own. The default for 4 bits in other formats.")
    private boolean asymmetric;

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            description = "Layout of the output: awq, gptq (symmetric unless --asymmetric is given; vLLM rejects GPTQ"
                    + " files with zero points since 0.17) or compressed-tensors. Default: awq.")
    private @Nullable String format;

    @Mixin
    private FormatAlias alias = new FormatAlias();

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "10GB",
            description = "Largest size of an output file, such as 5GB or 500MB. Default: ${DEFAULT-VALUE}.")
    private String maxShardSize = "10GB";

    /**
     * Returns the numbers to quantize a model to.
     *
     * @throws UsageException if no model can be quantized so
     */
    public QuantizationSpec spec(ModelConfig config, Terminal terminal) {
        check();
        return new QuantizationSpec(bits, groupSize.of(config, terminal), symmetric());
    }

    /**
     * Checks the options.
     *
     * @throws UsageException for what is wrong whatever the model
     */
    public void check() {
        try {
            new QuantizationSpec(bits, QuantizationSpec.WHOLE_ROW);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        if (steps != null && (steps < 0 || steps > 0 && method != Method.BEST)) {
            throw new UsageException("--steps " + steps + ": "
                    + (steps < 0 ? "give 0 or more" : "only --method best has steps of tuning"));
        }
        if (fixedCodes && method != Method.BEST) {
            throw new UsageException("--fixed-codes: only --method best moves codes");
        }
        if (fitSamples != null && (fitSamples < 1 || method != Method.BEST)) {
            throw new UsageException("--fit-samples " + fitSamples + ": "
                    + (fitSamples < 1 ? "give 1 or more" : "only --method best fits layers"));
        }
        if (symmetric && asymmetric) {
            throw new UsageException("--symmetric and --asymmetric: give one of them");
        }
        if (!format().bits().contains(bits)) {
            throw new UsageException("--bits " + bits + ": the layout " + name()
                    + " holds 4 bits; give --format compressed-tensors or --format gptq");
        }
        maxShardBytes();
    }

    private boolean symmetric() {
        return symmetric || !asymmetric && (name().equals("gptq") || bits == 8);
    }

    private String name() {
        return alias.or(format).orElse("awq").toLowerCase(Locale.ROOT);
    }

    public long maxShardBytes() {
        try {
            return FileSize.parse(maxShardSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-shard-size " + maxShardSize + ": " + e.getMessage());
        }
    }

    /** Returns whether codes were asked to stay as fitted. */
    public boolean fixedCodes() {
        return fixedCodes;
    }

    public Method method() {
        return method;
    }

    public QuantizedFormat format() {
        String name = name();
        return switch (name) {
            case "awq" -> QuantizedFormat.AWQ_GEMM;
            case "gptq" -> QuantizedFormat.gptq(symmetric());
            case "compressed-tensors" -> QuantizedFormat.COMPRESSED_TENSORS;
            case "gguf", "safetensors" ->
                throw new UsageException(
                        "--format " + name + ": give awq, gptq or compressed-tensors; 'nibble convert --format " + name
                                + "' makes that of any checkpoint");
            default -> throw new UsageException("--format " + name + ": give awq, gptq or compressed-tensors");
        };
    }

    /**
     * Holds what a quantization is asked to do.
     *
     * @param samples blocks of the calibration text that are read where no number is asked for
     */
    public record Asked(QuantizeOptions options, int samples) {}

    /**
     * Returns what a quantization of this model is asked to do. A group size that does not divide its rows is rejected
     * first: a device cannot say what room such codes take.
     *
     * @param configFile for messages
     * @param blockLength tokens of a block of the calibration text
     * @param backend which will take the steps of tuning
     */
    public Asked options(
            ModelConfig config,
            Path configFile,
            int blockLength,
            Backend backend,
            int threads,
            boolean strict,
            Terminal terminal) {
        QuantizationSpec spec = spec(config, terminal);
        Quantizer.requireFits(config, configFile, spec);
        BestSettings settings = BestSettings.NO_STEPS;
        int samples = CalibrationOptions.MOST_SAMPLES;
        if (method == Method.BEST) {
            BestDefaults defaults =
                    fixedCodes ? BestDefaults.FIXED_CODES : BestDefaults.of(config, spec, blockLength, backend);
            settings = steps == null ? defaults.settings() : defaults.settings().withSteps(steps);
            settings = fitSamples == null ? settings : settings.withFitBlocks(fitSamples);
            samples = defaults.samples();
        }
        return new Asked(
                new QuantizeOptions(method, spec, format(), maxShardBytes(), threads, strict, settings), samples);
    }
}
