package nibble.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import nibble.calibrate.QuantizationCost;
import nibble.calibrate.Quantizer;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.engine.Backend;
import nibble.engine.Matrix;
import nibble.pack.AwqCheckpointPlan;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "plan",
        description = "Says what quantizing would write and take: exact output bytes, memory, disk, an estimate of the time."
                + " Writes nothing; a config.json is enough.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class PlanCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "MODEL|CONFIG", description = "Folder of a checkpoint, or a config.json alone.")
    @SuppressWarnings("NullAway.Init")
    private Path model;

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    PlanCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Shard(String file, long bytes) {}

    /**
     * The plan's figures.
     *
     * @param weightFileBytes shards and index, exact
     * @param outputBytes with the config files and what is carried over, without the report
     * @param inputBytes fp16 tensors read; null where only a config is at hand
     */
    record Plan(
            long weightFileBytes,
            long outputBytes,
            @Nullable Long inputBytes,
            List<Shard> shards,
            long diskBytes,
            long peakHostBytes,
            long peakDeviceBytes,
            long calibrationTokens,
            double flops,
            double measuredFlopsPerSecond,
            double estimatedSeconds) {}

    @Override
    public Integer call() {
        json.requireWritable();
        Plan plan;
        try (Backend backend = device.open(terminal)) {
            plan = plan(backend);
        }
        json.write(terminal, plan);
        if (!json.toStandardOutput()) {
            print(plan);
        }
        return ExitCode.DONE;
    }

    private Plan plan(Backend backend) {
        LlamaConfig config;
        long sideBytes = 0;
        Long inputBytes = null;
        if (Files.isDirectory(model) || model.toString().endsWith(".gguf")) {
            try (Checkpoint checkpoint = Checkpoint.open(model)) {
                config = checkpoint.config();
                inputBytes = checkpoint.tensorBytes();
                for (Path side : checkpoint.sideFiles()) {
                    sideBytes += Files.size(side);
                }
                for (byte[] made : checkpoint.madeFiles().values()) {
                    sideBytes += made.length;
                }
            } catch (IOException e) {
                throw new UncheckedIOException(model + ": a file cannot be read: " + e.getMessage(), e);
            }
        } else {
            config = LlamaConfig.read(model);
        }
        Quantizer.requireFits(
                config, Files.isDirectory(model) ? model.resolve("config.json") : model, quantization.spec());
        AwqCheckpointPlan output =
                AwqCheckpointPlan.of(config, quantization.spec(), quantization.maxShardBytes());
        QuantizationCost cost = QuantizationCost.of(
                config, quantization.method(), calibration.samples, calibration.sequenceLength);
        double rate = multiplicationRate(backend);
        long outputBytes = output.fileBytes() + sideBytes;
        List<Shard> shards = new ArrayList<>();
        output.shards().shards().forEach(shard -> shards.add(new Shard(shard.fileName(), shard.fileBytes())));
        return new Plan(
                output.shardBytes(),
                outputBytes,
                inputBytes,
                shards,
                outputBytes,
                cost.peakHostBytes(),
                0,
                cost.calibrationTokens(),
                cost.flops(),
                rate,
                cost.flops() / rate);
    }

    /** Floating-point operations a second that this machine reaches now; the first of its two seconds warm the compiler up. */
    private static double multiplicationRate(Backend backend) {
        int size = 256;
        float[] ones = new float[size * size];
        java.util.Arrays.fill(ones, 1f);
        try (Matrix a = backend.uploadSingle(ones, size, size);
                Matrix b = backend.uploadSingle(ones, size, size);
                Matrix out = backend.allocateSingle(size, size)) {
            double best = 0;
            long begin = System.nanoTime();
            do {
                long start = System.nanoTime();
                backend.multiplyTransposed(a, b, out);
                best = Math.max(best, 2.0 * size * size * size / ((System.nanoTime() - start) / 1e9));
            } while (System.nanoTime() - begin < 2_000_000_000L);
            return best;
        }
    }

    private void print(Plan plan) {
        var out = terminal.out();
        List<List<String>> rows = new ArrayList<>();
        if (plan.inputBytes() != null) {
            rows.add(List.of("weights to read", Figures.bytes(plan.inputBytes())));
        }
        rows.add(List.of("weights to write", Figures.bytes(plan.weightFileBytes())));
        rows.add(List.of("  exactly", String.format(java.util.Locale.ROOT, "%,d bytes", plan.weightFileBytes())));
        for (Shard shard : plan.shards()) {
            rows.add(List.of("  " + shard.file(), Figures.bytes(shard.bytes())));
        }
        rows.add(List.of("disk needed", Figures.bytes(plan.diskBytes())));
        rows.add(List.of("host memory at the peak", Figures.bytes(plan.peakHostBytes())));
        rows.add(List.of("calibration tokens", String.format(java.util.Locale.ROOT, "%,d", plan.calibrationTokens())));
        rows.add(List.of("arithmetic", Figures.decimals(plan.flops() / 1e12, 2) + " TFLOP"));
        rows.add(List.of(
                "time at this machine's " + Figures.decimals(plan.measuredFlopsPerSecond() / 1e9, 0) + " GFLOP/s",
                "about " + Figures.duration(plan.estimatedSeconds())));
        new Table(List.of(String.valueOf(model.getFileName()), ""), rows).lines().forEach(out::println);
        out.flush();
    }
}
