package nibble.cli.command;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.tensor.DType;
import nibble.cli.option.FormatAlias;
import nibble.cli.option.ImportanceOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.convert.CheckpointConverter;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionReport;
import nibble.convert.blocks.Importance;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import nibble.files.FileSize;
import nibble.files.output.UnfinishedOutput;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "convert",
        description =
                "Converts a checkpoint to another format. Between quantized formats codes, zeros and scales stay the"
                    + " same. OUT appears complete or not at all. A hidden folder beside OUT keeps an unfinished run"
                    + " for --resume.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public class ConvertCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            index = "0",
            paramLabel = "SRC",
            description = "Folder of a checkpoint: safetensors, PyTorch .bin, Meta's consolidated.*.pth, AWQ, GPTQ,"
                    + " compressed-tensors; or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Parameters(index = "1", paramLabel = "OUT", description = "Folder to create; it must be empty or absent.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            description =
                    "safetensors: dense weights; quantized weights are dequantized. awq, gptq (second version with"
                            + " unchanged zeros), gptq-v1, compressed-tensors: from another quantized format. gguf: one"
                            + " file for llama.cpp, see --type.")
    private @Nullable String format;

    @Mixin
    private FormatAlias alias = new FormatAlias();

    @Option(
            names = "--type",
            paramLabel = "TYPE",
            description =
                    "For safetensors: F16, BF16 or F32. Default: each tensor's own type; F16 for quantized sources."
                        + " For gguf: F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S, Q3_K_L, Q3_K_M, Q3_K_S,"
                        + " Q2_K, Q5_1, Q5_0, Q4_1, Q4_0. Q4_1 keeps the codes of a 4-bit source, Q8_0 those of a"
                        + " symmetric 8-bit one.")
    private @Nullable String type;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            description = "Largest size of an output file, such as 5GB or 500MB. Default: 10GB; one file for gguf.")
    private @Nullable String maxShardSize;

    @Option(
            names = "--asymmetric-v1",
            description = "Write gptq-v1 even for weights with zero points. GPTQModel rejects such files.")
    private boolean asymmetricV1;

    @Option(
            names = "--resume",
            description = "Resume a run that was stopped, killed or out of disk space. The output is bit-identical. All"
                    + " other options and files must be unchanged, except --threads.")
    private boolean resume;

    @Mixin
    private ImportanceOptions importance = new ImportanceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    public ConvertCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        importance.requireInputs();
        json.requireWritable();
        boolean gguf = format().equalsIgnoreCase("gguf");
        check();
        if (!gguf) {
            target(false);
        }
        importance.check(gguf ? Optional.of(mix()) : Optional.empty());
        // Before importance is measured.
        UnfinishedOutput.require(out, resume);
        long shardBytes = shardBytes(gguf);
        Path model = source.folder(terminal);
        ConversionReport report;
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model)) {
            if (!gguf) {
                refuseWhatNoLoaderTakes(checkpoint, target(isSymmetric(checkpoint)));
            }
            Optional<Importance> weights = importance.importance(terminal, model, checkpoint);
            try (StopOnSignal stop = new StopOnSignal(terminal);
                    Progress progress = new Progress(terminal, "converting " + source)) {
                ConversionOptions options = new ConversionOptions(
                        out,
                        shardBytes,
                        importance.threads(),
                        resume,
                        stop.signal(),
                        terminal::note,
                        fraction -> progress.at(fraction, ""));
                report = gguf
                        ? export(checkpoint, mix(), weights, options)
                        : convert(checkpoint, target(isSymmetric(checkpoint)), options);
            }
        }
        json.write(terminal, report);
        if (!json.toStandardOutput()) {
            print(report);
        }
        return ExitCode.DONE;
    }

    /** Makes a GGUF file. */
    protected ConversionReport export(
            Checkpoint source, GgufMix mix, Optional<Importance> weights, ConversionOptions options) {
        return GgufExporter.export(source, mix, weights, options);
    }

    /** Makes a folder of safetensors. */
    protected ConversionReport convert(Checkpoint source, Target target, ConversionOptions options) {
        return CheckpointConverter.convert(source, target, options);
    }

    /** Returns the options of the importance. */
    protected ImportanceOptions importance() {
        return importance;
    }

    /** Checks what else has to be there, before a model is downloaded. */
    protected void check() {}

    /** Before anything is read for it. */
    private void refuseWhatNoLoaderTakes(Checkpoint checkpoint, Target target) {
        boolean zeroPoints = checkpoint.config().quantization().isPresent() && !isSymmetric(checkpoint);
        if (target instanceof Target.Packed(QuantizedFormat format)
                && format == QuantizedFormat.GPTQ
                && zeroPoints
                && !asymmetricV1) {
            throw new UsageException(format() + " is GPTQ's first version, and " + source
                    + " has zero points: GPTQModel rejects such files of other tools. Give gptq, the second"
                    + " version, or compressed-tensors; --asymmetric-v1 writes it anyway");
        }
    }

    private String format() {
        return alias.or(format)
                .orElseThrow(() -> new UsageException(
                        "--format is needed: give safetensors, awq, gptq, gptq-v1, compressed-tensors" + " or gguf"));
    }

    private long shardBytes(boolean gguf) {
        if (maxShardSize == null) {
            return gguf ? Long.MAX_VALUE : 10_000_000_000L;
        }
        try {
            return FileSize.parse(maxShardSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-shard-size " + maxShardSize + ": " + e.getMessage());
        }
    }

    private GgufMix mix() {
        return GgufMix.named(type == null ? "" : type)
                .orElseThrow(() -> new UsageException("--type " + (type == null ? "is needed for --format gguf" : type)
                        + ": give one of " + Arrays.toString(GgufMix.values())));
    }

    private static boolean isSymmetric(Checkpoint checkpoint) {
        return checkpoint.config().quantization().map(q -> q.symmetric()).orElse(false);
    }

    /** @param symmetric whether the source has no zero points */
    private Target target(boolean symmetric) {
        String name = format();
        if (name.equalsIgnoreCase("safetensors")) {
            return new Target.Safetensors(Optional.ofNullable(type).map(this::weightType));
        }
        if (type != null) {
            throw new UsageException("--type " + type + ": --format " + name + " has no choice of types");
        }
        return new Target.Packed(
                switch (name.toLowerCase(Locale.ROOT)) {
                    case "awq" -> QuantizedFormat.AWQ_GEMM;
                    case "gptq" -> QuantizedFormat.gptq(symmetric);
                    case "gptq-v2" -> QuantizedFormat.GPTQ_V2;
                    case "gptq-v1" -> QuantizedFormat.GPTQ;
                    case "compressed-tensors" -> QuantizedFormat.COMPRESSED_TENSORS;
                    default ->
                        throw new UsageException("--format " + name
                                + ": give safetensors, awq, gptq, gptq-v1, compressed-tensors or gguf");
                });
    }

    private DType weightType(String name) {
        return DType.named(name.toUpperCase(Locale.ROOT))
                .filter(DType::isWeight)
                .orElseThrow(() -> new UsageException("--type " + name + ": safetensors take F16, BF16 or F32"));
    }

    private void print(ConversionReport report) {
        var output = terminal.out();
        output.printf(
                "%s to %s: %d tensors, %s read, %s written to %s in %s%n",
                report.from(),
                report.to(),
                report.tensors(),
                Figures.bytes(report.inputBytes()),
                Figures.bytes(report.outputBytes()),
                out,
                Figures.duration(report.wallSeconds()));
        for (ConversionReport.Underflow loss : report.underflows()) {
            output.printf(
                    "%s: %d numbers below fp16's normal range were rounded, %d of them to zero; first at %s, largest"
                            + " %s%n",
                    loss.tensor(), loss.values(), loss.becameZero(), loss.first(), loss.largest());
        }
        if (!report.dropped().isEmpty()) {
            List<String> names = report.dropped();
            output.printf(
                    "%d tensors that no loader uses were left out: %s%s%n",
                    names.size(),
                    String.join(", ", names.subList(0, Math.min(3, names.size()))),
                    names.size() > 3 ? ", ..." : "");
        }
        report.notes().forEach(output::println);
        output.flush();
    }
}
