package nibble.cli.command;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import nibble.checkpoint.Checksums;
import nibble.checkpoint.source.FileDigest;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.convert.verify.CheckpointVerification;
import nibble.convert.verify.LayerComparison;
import nibble.convert.verify.TensorParallelSplit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "verify",
        description =
                "Makes every check that a loader makes: shards, index, config files, tokenizer, numbers, checksums."
                        + " Exits with 3 if a loader would reject the checkpoint or misread it.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class VerifyCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            paramLabel = "DIR",
            description = "A checkpoint, fp16 or quantized, a GGUF file, or a folder of GGUF files. "
                    + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument model;

    @Option(
            names = "--against",
            paramLabel = "MODEL",
            description =
                    "The fp16 model that DIR was made from. The middle layer is dequantized and compared with it.")
    private @Nullable ModelArgument source;

    @Option(
            names = "--write-checksums",
            description = "Write " + Checksums.FILE_NAME
                    + " into DIR if there is no error. Later runs and 'sha256sum -c' compare with it.")
    private boolean writeChecksums;

    @Mixin
    private JsonOption json = new JsonOption();

    VerifyCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Report(
            String path,
            boolean ok,
            long errors,
            long warnings,
            List<Finding> findings,
            List<TensorParallelSplit> tensorParallel,
            @Nullable LayerComparison comparedLayer,
            List<FileDigest> files) {}

    @Override
    public Integer call() {
        model.require();
        ModelArgument.require(source);
        json.requireWritable();
        Path folder = model.folder(terminal);
        if (writeChecksums && Files.isRegularFile(folder)) {
            throw new UsageException("--write-checksums is for a folder; " + folder + " is a file");
        }
        if (writeChecksums) {
            OutputFile.require("--write-checksums", folder.resolve(Checksums.FILE_NAME));
        }
        CheckpointVerification verification =
                verify(terminal, folder, Optional.ofNullable(source).map(m -> m.folder(terminal)));
        if (writeChecksums && verification.errors() == 0) {
            Checksums.write(folder, verification.files());
        }
        json.write(
                terminal,
                new Report(
                        folder.toString(),
                        verification.errors() == 0,
                        verification.errors(),
                        verification.warnings(),
                        verification.findings(),
                        verification.tensorParallel(),
                        verification.source().orElse(null),
                        verification.files()));
        if (!json.toStandardOutput()) {
            print(verification);
        }
        return verification.errors() == 0 ? ExitCode.DONE : ExitCode.BAD_INPUT;
    }

    /** Verifies a folder, showing progress. */
    static CheckpointVerification verify(Terminal terminal, Path folder, Optional<Path> source) {
        try (Progress progress = new Progress(terminal, "verifying " + folder)) {
            AtomicLong read = new AtomicLong();
            long total = Math.max(1, totalBytes(folder));
            LongConsumer listener = bytes -> {
                long done = read.addAndGet(bytes);
                synchronized (read) {
                    progress.at((double) done / total, "");
                }
            };
            int threads = Math.min(4, Runtime.getRuntime().availableProcessors());
            return CheckpointVerification.of(folder, source, threads, listener);
        }
    }

    private static long totalBytes(Path folder) {
        if (Files.isRegularFile(folder)) {
            return folder.toFile().length();
        }
        return Files.isDirectory(folder)
                ? RepositoryFiles.list(folder, refused -> {}).values().stream()
                        .mapToLong(file -> file.toFile().length())
                        .sum()
                : 0;
    }

    private void print(CheckpointVerification verification) {
        var out = terminal.out();
        List<List<String>> rows = new ArrayList<>();
        for (FileDigest file : verification.files()) {
            rows.add(List.of(file.path(), Figures.bytes(file.bytes()), file.sha256()));
        }
        new Table(List.of("file", "size", "sha256"), rows).lines().forEach(out::println);
        out.println();
        for (TensorParallelSplit split : verification.tensorParallel()) {
            out.println("split over " + split.devices() + ": " + (split.aligned() ? "aligned" : split.obstacle()));
        }
        verification
                .source()
                .ifPresent(comparison -> comparison
                        .linears()
                        .forEach(linear -> out.println(linear.name() + ": relative error against the source "
                                + Figures.decimals(100 * linear.relativeError(), 2) + " %")));
        printFindings(out, verification);
    }

    /** The findings, one a line, and their number. */
    static void printFindings(PrintWriter out, CheckpointVerification verification) {
        for (Finding finding : verification.findings()) {
            String severity = finding.severity() == Finding.Severity.ERROR ? "error" : "warning";
            out.println(severity + " [" + finding.check() + "] " + finding.message());
        }
        out.println(verification.errors() + " errors, " + verification.warnings() + " warnings");
        out.flush();
    }
}
