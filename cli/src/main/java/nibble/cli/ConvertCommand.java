package nibble.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.convert.Checkpoint;
import nibble.convert.DType;
import nibble.convert.FileSize;
import nibble.convert.QuantizedFormat;
import nibble.pack.CheckpointConverter;
import nibble.pack.CheckpointConverter.Target;
import nibble.pack.ConversionReport;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "convert",
        description = "Turns one checkpoint format into another. Between 4-bit formats codes, zeros and scales stay the same."
                + " OUT appears whole or not at all.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ConvertCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            index = "0",
            paramLabel = "SRC",
            description = "Folder of a checkpoint: safetensors, PyTorch .bin, Meta's consolidated.*.pth, AWQ, GPTQ,"
                    + " compressed-tensors.")
    @SuppressWarnings("NullAway.Init")
    private Path source;

    @Parameters(index = "1", paramLabel = "OUT", description = "Folder to make; must not exist or be empty.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Option(
            names = "--to",
            paramLabel = "FORMAT",
            required = true,
            description = "safetensors: dense weights, 4-bit ones dequantized. awq, gptq (second version, zeros as they are),"
                    + " gptq-v1, compressed-tensors: from another 4-bit format.")
    private String to = "";

    @Option(
            names = "--type",
            paramLabel = "TYPE",
            description = "Element type of safetensors: F16, BF16 or F32. Default: what each tensor has; F16 for 4-bit sources.")
    private @Nullable String type;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "10GB",
            description = "Largest size of an output file, as 5GB or 500MB. Default: ${DEFAULT-VALUE}.")
    private String maxShardSize = "10GB";

    @Mixin
    private JsonOption json = new JsonOption();

    ConvertCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        Target target = target();
        long shardBytes;
        try {
            shardBytes = FileSize.parse(maxShardSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-shard-size " + maxShardSize + ": " + e.getMessage());
        }
        ConversionReport report;
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Progress progress = new Progress(terminal, "converting " + source)) {
            report = CheckpointConverter.convert(
                    checkpoint, out, target, shardBytes, fraction -> progress.at(fraction, ""));
        }
        json.write(terminal, report);
        if (!json.toStandardOutput()) {
            print(report);
        }
        return ExitCode.DONE;
    }

    private Target target() {
        String format = to.toLowerCase(Locale.ROOT);
        if (format.equals("safetensors")) {
            return new Target.Safetensors(Optional.ofNullable(type).map(this::weightType));
        }
        if (type != null) {
            throw new UsageException("--type " + type + ": --to " + to + " has no choice of types");
        }
        return new Target.Packed(
                switch (format) {
                    case "awq" -> QuantizedFormat.AWQ_GEMM;
                    case "gptq", "gptq-v2" -> QuantizedFormat.GPTQ_V2;
                    case "gptq-v1" -> QuantizedFormat.GPTQ;
                    case "compressed-tensors" -> QuantizedFormat.COMPRESSED_TENSORS;
                    default ->
                        throw new UsageException("--to " + to
                                + ": give safetensors, awq, gptq, gptq-v1 or compressed-tensors");
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
                    "%s: %d numbers below fp16's normal range were rounded, %d of them to zero; first at %s, largest %s%n",
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
        output.flush();
    }
}
