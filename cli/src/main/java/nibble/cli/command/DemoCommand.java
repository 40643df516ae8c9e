package nibble.cli.command;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import nibble.calibrate.job.BestSettings;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.cli.option.DeviceOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.datasets.CalibrationText;
import nibble.datasets.TokenBlocks;
import nibble.datasets.Tokenizer;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.eval.PerplexityResult;
import nibble.files.Reasons;
import nibble.files.output.OutputFolder;
import nibble.files.output.UnfinishedOutput;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "demo",
        description = "Runs the main job offline: quantizes the bundled model by plain rounding, by AWQ and by method"
                + " best, loads the results, and measures all four.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class DemoCommand implements Callable<Integer> {
    /** Half the usual steps, and codes stay: so the demo takes less than three minutes on two cores. */
    private static final BestSettings BEST = new BestSettings(Integer.MAX_VALUE, 64, 1024, false);

    private static final int GROUP_SIZE = 128;
    private static final long ONE_SHARD_BYTES = 10_000_000_000L;
    private static final int CALIBRATION_BLOCKS = 32;
    private static final int CALIBRATION_TOKENS = 1024;
    private static final int CONTEXT = 2048;
    private static final List<Step> STEPS = List.of(
            new Step(Method.RTN, "plain rounding"), new Step(Method.AWQ, "AWQ"), new Step(Method.BEST, "method best"));

    private final Terminal terminal;

    @Option(
            names = "--windows",
            paramLabel = "N",
            defaultValue = "40",
            description =
                    "Windows of 2048 tokens of wikitext-2's test part to measure. Default: ${DEFAULT-VALUE} of 197.")
    private int windows = 40;

    @Option(
            names = "--keep",
            paramLabel = "FOLDER",
            description = "Keep the quantized checkpoints in FOLDER. Default: delete them at the end.")
    private @Nullable Path keep;

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    DemoCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    /** One way to quantize the model. */
    private record Step(Method method, String name) {
        String folder() {
            return "wiki-7m-" + method.label();
        }

        QuantizeOptions options(int threads) {
            QuantizationSpec spec = new QuantizationSpec(4, GROUP_SIZE);
            boolean best = method == Method.BEST;
            return new QuantizeOptions(
                    method,
                    spec,
                    QuantizedFormat.AWQ_GEMM,
                    ONE_SHARD_BYTES,
                    threads,
                    false,
                    best ? BEST : BestSettings.NO_STEPS);
        }
    }

    record Row(String weights, double perplexity, double perplexityGap, long outputBytes) {}

    record Demo(
            String model,
            String dataset,
            String recipe,
            int contextTokens,
            int windows,
            int groupSize,
            String calibration,
            long calibrationTokens,
            List<Row> rows,
            double wallSeconds) {}

    @Override
    public Integer call() {
        json.requireWritable();
        requireFree(keep);
        Path model = bundledModel();
        long start = System.nanoTime();
        Demo demo;
        // Never committed, so all in it is gone at the end, and after Ctrl-C too.
        try (OutputFolder temporary = OutputFolder.begin(temporaryFolder());
                Backend backend = device.open(terminal)) {
            demo = run(backend, model, keep == null ? temporary.path() : keep, start);
        }
        json.write(terminal, demo);
        if (!json.toStandardOutput()) {
            print(demo);
        }
        return ExitCode.DONE;
    }

    private Demo run(Backend backend, Path model, Path work, long start) {
        TokenBlocks blocks;
        try (Tokenizer tokenizer = ModelTokenizer.open(model)) {
            blocks = TokenBlocks.cut(tokenizer, CalibrationText.wikitext2(), CALIBRATION_BLOCKS, CALIBRATION_TOKENS);
        }
        PerplexityResult fp16 = measure(backend, model, "perplexity, fp16");
        List<Row> rows = new ArrayList<>();
        rows.add(row("fp16", fp16, fp16, model));
        for (Step step : STEPS) {
            Path folder = work.resolve(step.folder());
            QuantizeCommand.quantize(
                    terminal,
                    backend,
                    model,
                    folder,
                    step.options(device.threads),
                    step.method() == Method.RTN ? Optional.empty() : Optional.of(blocks),
                    "quantizing, " + step.name());
            PerplexityResult result = measure(backend, folder, "perplexity, " + step.name());
            rows.add(row("4-bit, " + step.name(), result, fp16, folder));
        }
        return new Demo(
                String.valueOf(model.getFileName()),
                String.valueOf(fp16.dataset()),
                fp16.recipe(),
                fp16.contextTokens(),
                fp16.windows(),
                GROUP_SIZE,
                blocks.description(),
                (long) CALIBRATION_BLOCKS * CALIBRATION_TOKENS,
                rows,
                (System.nanoTime() - start) / 1e9);
    }

    private PerplexityResult measure(Backend backend, Path model, String title) {
        return PerplexityCommand.measure(
                terminal, backend, model, CacheType.AUTO, "wikitext2", CONTEXT, windows, title);
    }

    private static Row row(String weights, PerplexityResult result, PerplexityResult fp16, Path folder) {
        return new Row(weights, result.perplexity(), result.perplexity() - fp16.perplexity(), weightBytes(folder));
    }

    private void print(Demo demo) {
        List<List<String>> rows = demo.rows().stream()
                .map(row -> List.of(
                        row.weights(),
                        Figures.bytes(row.outputBytes()),
                        Figures.decimals(row.perplexity(), 3),
                        row.perplexityGap() == 0 ? "" : "+" + Figures.decimals(row.perplexityGap(), 3)))
                .toList();
        terminal.out().println();
        new Table(List.of(demo.model(), "safetensors", "perplexity", "gap"), rows)
                .lines()
                .forEach(terminal.out()::println);
        terminal.out()
                .printf(
                        "%n%s, first %d windows of %d tokens; group size %d; calibrated on %,d tokens; %s in all%n",
                        demo.dataset(),
                        demo.windows(),
                        demo.contextTokens(),
                        demo.groupSize(),
                        demo.calibrationTokens(),
                        Figures.duration(demo.wallSeconds()));
        if (keep != null) {
            terminal.out().println("The quantized checkpoints are in " + keep);
        }
        terminal.out().flush();
    }

    private static Path bundledModel() {
        String home = System.getProperty("nibble.home", ".");
        Path model = Path.of(home, "models", "wiki-7m");
        if (!Files.isDirectory(model)) {
            throw new UsageException("the bundled model is not at " + model
                    + "; start nibble by the launcher of its folder, or set -Dnibble.home to that folder");
        }
        return model;
    }

    private static Path temporaryFolder() {
        return Path.of(
                System.getProperty("java.io.tmpdir"),
                "nibble-demo-" + ProcessHandle.current().pid());
    }

    /** Before the minute that the first figure takes: no checkpoint's folder may be in use. */
    private static void requireFree(@Nullable Path keep) {
        for (Step step : STEPS) {
            String name = step.folder();
            if (keep != null && Files.exists(keep.resolve(name))) {
                throw new UsageException(
                        "--keep " + keep + ": " + name + " exists already; remove it or name another folder");
            }
            if (keep != null) {
                UnfinishedOutput.require(keep.resolve(name), false);
            }
        }
    }

    private static long weightBytes(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".safetensors"))
                    .mapToLong(file -> file.toFile().length())
                    .sum();
        } catch (IOException e) {
            throw new UncheckedIOException(folder + ": cannot be listed: " + Reasons.of(e), e);
        }
    }
}
