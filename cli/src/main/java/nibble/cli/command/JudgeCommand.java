package nibble.cli.command;

import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.cli.option.HubOptions;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.datasets.mtbench.MtBenchQuestions;
import nibble.eval.judge.ChatEndpoint;
import nibble.eval.judge.Grading;
import nibble.eval.judge.JudgePrompts;
import nibble.eval.judge.JudgeScores;
import nibble.eval.judge.JudgedAnswers;
import nibble.eval.judge.JudgmentFile;
import nibble.hub.client.HubProxies;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "judge",
        description = "Has another model grade answers to MT-bench, as FastChat's single-answer grading does, and"
                + " averages the grades.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class JudgeCommand implements Callable<Integer> {
    private static final String KEY = "OPENAI_API_KEY";

    private final Terminal terminal;

    @Parameters(paramLabel = "ANSWERS", description = "The file of answers that 'eval mt-bench' or FastChat wrote.")
    @SuppressWarnings("NullAway.Init")
    private Path answers;

    @Option(
            names = "--endpoint",
            paramLabel = "URL",
            required = true,
            description =
                    "The judge's server: what stands before /chat/completions, such as" + " https://api.openai.com/v1.")
    @SuppressWarnings("NullAway.Init")
    private String endpoint;

    @Option(names = "--model", paramLabel = "NAME", required = true, description = "The judge's name there.")
    @SuppressWarnings("NullAway.Init")
    private String model;

    @Option(
            names = "--output",
            paramLabel = "FILE",
            required = true,
            description = "The JSONL file of judgments to write, in the layout of FastChat's model_judgment files.")
    @SuppressWarnings("NullAway.Init")
    private Path output;

    @Option(
            names = "--resume",
            description = "Resume the file of an interrupted run: grade only the turns that have no judgment yet.")
    private boolean resume;

    @Option(
            names = "--key-variable",
            paramLabel = "NAME",
            defaultValue = KEY,
            description = "The environment variable that holds the server's key. Default: ${DEFAULT-VALUE}. Without"
                    + " a value, no key is sent.")
    private String keyVariable = KEY;

    @Option(
            names = "--judge-prompts",
            paramLabel = "FILE",
            description = "The judge's prompts in the layout of FastChat's judge_prompts.jsonl. Default: Nibble's own,"
                    + " whose grades are not comparable with published ones.")
    private @Nullable Path prompts;

    @Option(
            names = "--references",
            paramLabel = "FILE",
            description = "Reference answers for math, reasoning and coding, such as FastChat's"
                    + " reference_answer/gpt-4.jsonl. Default: those of the questions.")
    private @Nullable Path references;

    @Option(
            names = "--questions",
            paramLabel = "FILE",
            description = "Questions in FastChat's layout. Default: MT-bench's, which are bundled.")
    private @Nullable Path questions;

    @Option(
            names = "--max-tokens",
            paramLabel = "N",
            defaultValue = "2048",
            description = "Largest number of tokens of a judgment. Default: ${DEFAULT-VALUE}.")
    private int maxTokens = 2048;

    @Mixin
    private JsonOption json = new JsonOption();

    JudgeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        InputFile.require("", answers);
        InputFile.require("--judge-prompts", prompts);
        InputFile.require("--references", references);
        InputFile.require("--questions", questions);
        if (maxTokens < 1) {
            throw new UsageException("--max-tokens " + maxTokens + ": at least 1");
        }
        MtBenchCommand.requireOutput(output, resume);
        json.requireWritable();
        ChatEndpoint.Settings judge = judge();
        JudgedAnswers judged = JudgedAnswers.read(answers);
        List<MtBenchQuestion> asked = questions == null ? MtBenchQuestions.bundled() : MtBenchQuestions.file(questions);
        Map<Integer, List<String>> right =
                references == null ? Map.of() : JudgedAnswers.read(references).turns();
        Grading grading =
                new Grading(prompts == null ? JudgePrompts.bundled() : JudgePrompts.file(prompts), asked, right);
        terminal.note("answers of " + judged.model() + " to " + judged.turns().size() + " of " + asked.size()
                + " questions, judged by " + judge);
        JudgeScores scores;
        try (JudgmentFile file = new JudgmentFile(output);
                ChatEndpoint server = new ChatEndpoint(judge, network(judge.base()), Thread::sleep, terminal::note);
                Progress progress = new Progress(terminal, "judgments")) {
            scores = grading.grade(judged, server, file, progress::at);
        }
        if (!json.toStandardOutput()) {
            print(scores);
        }
        json.write(terminal, scores);
        return ExitCode.DONE;
    }

    private ChatEndpoint.Network network(URI base) {
        HubProxies proxies =
                HubOptions.settings(terminal, Optional.empty()).surroundings().proxies();
        return new ChatEndpoint.Network(
                proxies.selector(), proxies.authorization(base), ChatEndpoint.Network.USUAL_TIMEOUT);
    }

    private ChatEndpoint.Settings judge() {
        URI base;
        try {
            base = URI.create(endpoint);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--endpoint " + endpoint + ": no address of a server");
        }
        String scheme = String.valueOf(base.getScheme());
        if (!scheme.matches("(?i)https?") || base.getHost() == null || base.getUserInfo() != null) {
            throw new UsageException(
                    "--endpoint " + base.getHost() + ": expected http:// or https:// with a host, without a password");
        }
        if (base.getRawQuery() != null || base.getRawFragment() != null) {
            throw new UsageException("--endpoint " + scheme + "://" + base.getHost() + base.getRawPath()
                    + ": expected an address without ? and #; a key comes from the variable of --key-variable");
        }
        Optional<String> key = Optional.ofNullable(terminal.environment().get(keyVariable))
                .map(String::strip)
                .filter(value -> !value.isEmpty());
        boolean isHere = base.getHost().matches("localhost|127(\\.\\d+){3}|\\[?::1\\]?");
        if (key.isPresent() && scheme.equalsIgnoreCase("http") && !isHere) {
            throw new UsageException("--endpoint " + base + ": the key in " + keyVariable
                    + " would travel unencrypted; give an https address, or unset the variable");
        }
        if (key.isPresent() && !key.get().matches("[\\x21-\\x7e]+")) {
            throw new UsageException(keyVariable + ": a key of printable ASCII characters is expected");
        }
        return new ChatEndpoint.Settings(base, model, key, maxTokens);
    }

    private void print(JudgeScores scores) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(row("average", scores.score()));
        rows.add(row("first turn", scores.firstTurn()));
        rows.add(row("second turn", scores.secondTurn()));
        scores.categories().forEach((category, score) -> rows.add(row(category, score)));
        terminal.out().println("MT-bench, " + scores.model() + " judged by " + scores.judge());
        new Table(List.of("", "score"), rows).lines().forEach(terminal.out()::println);
        terminal.out()
                .println(scores.judgments() + " judgments"
                        + (scores.withoutScore() == 0 ? "" : ", " + scores.withoutScore() + " more without a score")
                        + "; the judge read " + scores.promptTokens() + " tokens and wrote "
                        + scores.completionTokens());
        terminal.out().flush();
    }

    private static List<String> row(String name, @Nullable Double score) {
        return List.of(name, score == null ? "" : Figures.decimals(score, 2));
    }
}
