package nibble.cli.prompts;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import nibble.cli.option.InputFile;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.engine.SamplingOptions;
import nibble.engine.backend.MissingRowException;
import nibble.engine.batch.BatchScheduler;
import nibble.files.digest.Sha256;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for texts of many prompts, and answers them. */
public final class PromptsOptions {
    @Option(
            names = "--prompts",
            paramLabel = "FILE",
            description = "Answer a file of prompts, many at a time. Each line is {\"prompt\": TEXT} or {\"messages\":"
                    + " [...]}, and may have an id, max_tokens, temperature, top_p, top_k and seed. Needs --json.")
    private @Nullable Path file;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write the answers to --prompts here, a line of JSON each, in the order of the prompts.")
    private @Nullable Path output;

    @Option(names = "--resume", description = "Resume a stopped run of --prompts: keep the answers that it made.")
    private boolean resume;

    @Option(
            names = "--max-sequences",
            paramLabel = "N",
            defaultValue = "16",
            description = "Most answers to --prompts at a time. Default: ${DEFAULT-VALUE}.")
    private int maxSequences = 16;

    /** Returns whether there is a file of prompts. */
    public boolean given() {
        return file != null;
    }

    /** Returns the most answers at a time. */
    public int sequences() {
        return maxSequences;
    }

    /**
     * Reads the prompts and checks the options.
     *
     * @return none without a file
     */
    public List<PromptLine> lines(SamplingOptions sampling, int maxNewTokens) {
        if (file == null) {
            if (output != null || resume) {
                throw new UsageException((output != null ? "--json" : "--resume") + " needs --prompts");
            }
            return List.of();
        }
        if (output == null) {
            throw new UsageException("--prompts needs --json FILE for the answers");
        }
        if (maxSequences < 1) {
            throw new UsageException("--max-sequences " + maxSequences + ": at least 1");
        }
        InputFile.require("--prompts", file);
        if (Files.exists(PromptAnswers.unfinished(output)) && !resume) {
            throw new UsageException("--json " + output + ": " + PromptAnswers.unfinished(output)
                    + " holds answers of a stopped run; --resume keeps them, or remove it");
        }
        OutputFile.require("--json", output);
        return PromptLine.read(file, sampling, maxNewTokens);
    }

    /**
     * Answers the prompts.
     *
     * @param encode gives the ids of a line
     */
    public void answer(Terminal terminal, PromptRun run, List<PromptLine> lines, Function<PromptLine, int[]> encode) {
        if (run.model().sharesWithHost()) {
            throw new UsageException(
                    "--prompts needs all layers on one device; leave out --gpu-layers, or give" + " --device cpu");
        }
        List<PromptRun.Asked> asked = asked(run, lines, encode);
        Path out = Objects.requireNonNull(output);
        List<String> digests = asked.stream().map(PromptRun.Asked::digest).toList();
        long start = System.nanoTime();
        long[] made = new long[1];
        try (PromptAnswers answers = PromptAnswers.open(out, digests);
                Progress progress = new Progress(terminal, "answering " + lines.size() + " prompts")) {
            int before = answers.size();
            if (before > 0) {
                terminal.note("resuming: " + before + " of " + lines.size() + " answers are there");
            }
            run.run(asked, answers, (done, tokens) -> {
                made[0] = tokens;
                progress.at((double) done / lines.size(), done + " answers");
            });
            answers.finish();
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        terminal.note(made[0] + " tokens in " + Figures.duration(seconds) + ", "
                + Figures.decimals(made[0] / seconds, 1) + " tokens/s");
        terminal.out().println(out + ": " + lines.size() + " answers");
        terminal.out().flush();
    }

    static List<PromptRun.Asked> asked(PromptRun run, List<PromptLine> lines, Function<PromptLine, int[]> encode) {
        List<PromptRun.Asked> asked = new ArrayList<>();
        String model = run.model().weights().config().toString();
        for (PromptLine line : lines) {
            int[] ids = encode.apply(line);
            check(line, ids, run);
            String digest = new Sha256()
                    .add(model
                            + Arrays.toString(ids)
                            + line.sampling()
                            + line.maxNewTokens()
                            + line.id()
                            + run.stops()
                            + run.cache())
                    .hex();
            asked.add(new PromptRun.Asked(asked.size(), digest, line, ids));
        }
        return asked;
    }

    private static void check(PromptLine line, int[] ids, PromptRun run) {
        if (ids.length == 0) {
            throw new UsageException(
                    line.where() + ": is empty, and this model's tokenizer has no token to begin a text with");
        }
        try {
            MissingRowException.check(ids, ids.length, run.model().vocabularySize());
        } catch (MissingRowException e) {
            throw new UsageException(line.where() + ": " + e.getMessage());
        }
        int context = BatchScheduler.contextTokens(run.model());
        if (ids.length >= context) {
            throw new UsageException(line.where() + ": has " + ids.length + " tokens, and the model's context of "
                    + context + " must hold them and the answer; give a shorter one");
        }
    }
}
