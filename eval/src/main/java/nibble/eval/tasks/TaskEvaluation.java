package nibble.eval.tasks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.Continuation;
import nibble.engine.ScoredContinuations;
import nibble.engine.backend.MissingRowException;
import nibble.eval.NonFiniteLogProbabilityException;
import nibble.eval.requests.RequestEngine;
import nibble.files.Version;
import org.jspecify.annotations.Nullable;

/**
 * Measures a model on tasks. All documents of all tasks are laid out at once, the longest first so that memory fails
 * early if it fails, and scored several in a pass; those that an earlier run finished are taken from its journal.
 */
public final class TaskEvaluation {
    private final EvaluatedModel subject;
    private final EvaluationOptions options;
    private final ResultJournal journal;
    private final TaskProgress progress;
    private final TokenSplit split;
    private final int contextTokens;

    private final Map<String, Map<Integer, DocumentResult>> results = new HashMap<>();
    private final Map<String, Long> truncated = new HashMap<>();
    private int documents;
    private int resumed;
    private int done;
    private double workDone;
    private double workToDo;
    private long requests;
    private long tokens;
    private long tokensAlone;
    private double flops;

    private TaskEvaluation(
            EvaluatedModel subject, EvaluationOptions options, ResultJournal journal, TaskProgress progress) {
        this.subject = subject;
        this.options = options;
        this.journal = journal;
        this.progress = progress;
        this.contextTokens = subject.model().contextTokens();
        this.split = TokenSplit.of(subject, options);
    }

    /**
     * Measures.
     *
     * @param journal results of an earlier run, and where those of this one are kept
     * @throws BadDatasetException if documents or examples cannot be had or are damaged, or the tokenizer is not the
     *     model's
     * @throws NonFiniteLogProbabilityException if the model gives NaN or infinity
     */
    public static EvaluationResult run(
            EvaluatedModel subject,
            List<Task> tasks,
            EvaluationOptions options,
            EvaluationData data,
            ResultJournal journal,
            TaskProgress progress) {
        TaskPreparation preparation =
                new TaskPreparation(options, data, subject.model().contextTokens());
        List<PreparedTask> prepared = tasks.stream()
                .flatMap(task -> preparation.prepare(task).stream())
                .toList();
        return new TaskEvaluation(subject, options, journal, progress).run(prepared);
    }

    /** Measures tasks that are prepared already, as {@link #run} does. */
    public static EvaluationResult runPrepared(
            EvaluatedModel subject,
            List<PreparedTask> tasks,
            EvaluationOptions options,
            ResultJournal journal,
            TaskProgress progress) {
        return new TaskEvaluation(subject, options, journal, progress).run(tasks);
    }

    private EvaluationResult run(List<PreparedTask> tasks) {
        List<Pending> scoring = new ArrayList<>();
        List<Writing> writing = new ArrayList<>();
        for (PreparedTask task : tasks) {
            results.put(task.name(), new HashMap<>());
            truncated.put(task.name(), 0L);
            documents += task.items().size();
            List<Laid> laid =
                    task.items().parallelStream().map(item -> lay(task, item)).toList();
            for (Laid one : laid) {
                take(task, one, scoring, writing);
            }
        }
        workToDo = scoring.stream().mapToDouble(Pending::tokens).sum()
                + writing.stream()
                        .mapToDouble(w -> w.prompt().length + w.ask().newTokens())
                        .sum();
        done = resumed;
        long start = System.nanoTime();
        RequestEngine engine = RequestEngine.of(subject.model(), subject.tokenizer(), subject.stopIds());
        List<List<Pending>> passes = passes(scoring);
        double[] flopsOfPass = new double[passes.size()];
        engine.score(passes.stream().map(this::continuations).toList(), options.shareBeginnings(), (index, scored) -> {
            flopsOfPass[index] = scored.flops();
            take(passes.get(index), scored);
        });
        // In order, whichever pass came first: the sum is the same to the last bit.
        flops = Arrays.stream(flopsOfPass).sum();
        engine.write(
                writing.stream()
                        .map(w -> new RequestEngine.Prompt(
                                w.prompt(), w.ask().newTokens(), w.ask().stops()))
                        .toList(),
                (index, ids) -> written(writing.get(index), ids));
        return result(tasks, (System.nanoTime() - start) / 1e9);
    }

    /** A document as ids. */
    private sealed interface Laid {}

    private record Scoring(Pending pending) implements Laid {}

    private record Writing(PreparedTask task, PreparedTask.Item item, Ask.Writing ask, int[] prompt, int cut)
            implements Laid {}

    private Laid lay(PreparedTask task, PreparedTask.Item item) {
        return switch (item.ask()) {
            case Ask.Choices(List<Ask.Request> texts) -> scoring(task, item, split.requests(texts));
            case Ask.Rolling(String text) -> scoring(task, item, split.windows(text));
            case Ask.Writing ask -> {
                int[] ids = split.encode(ask.prompt());
                requireKnown(ids);
                int room = contextTokens - ask.newTokens();
                if (room < 1 && options.preset().readsFiles()) {
                    throw new BadDatasetException(
                            place(task, item) + ask.newTokens() + " tokens to write, the model's" + " context has "
                                    + contextTokens + "; give --gen-kwargs max_gen_toks=" + contextTokens / 2);
                }
                int[] prompt = split.prompt(ask.prompt(), ask.newTokens());
                yield new Writing(task, item, ask, prompt, ids.length - prompt.length);
            }
        };
    }

    private Scoring scoring(PreparedTask task, PreparedTask.Item item, List<TokenSplit.Request> requests) {
        for (TokenSplit.Request request : requests) {
            requireKnown(request.context());
            requireKnown(request.continuation());
            if (request.continuation().length == 0 || request.context().length == 0) {
                throw new BadDatasetException(
                        place(task, item) + "an answer or its context has no tokens of its own; damaged data?");
            }
            if (request.continuation().length > contextTokens) {
                throw new BadDatasetException(place(task, item) + "an answer has " + request.continuation().length
                        + " tokens, the model's context " + contextTokens + "; take a model with a longer context");
            }
        }
        return new Scoring(Pending.of(task, item, requests, contextTokens));
    }

    private static String place(PreparedTask task, PreparedTask.Item item) {
        return task.name() + ", document " + item.number() + ": ";
    }

    private void requireKnown(int[] ids) {
        MissingRowException.check(ids, ids.length, subject.model().vocabularySize());
    }

    /** Takes a document's result from the journal, or puts it on its list. */
    private void take(PreparedTask task, Laid laid, List<Pending> scoring, List<Writing> writing) {
        PreparedTask.Item item = switch (laid) {
            case Scoring(Pending pending) -> pending.item();
            case Writing w -> w.item();
        };
        long cut = switch (laid) {
            case Scoring(Pending pending) ->
                pending.requests().stream()
                        .filter(r -> r.excess(contextTokens) > 0)
                        .count();
            case Writing w -> w.cut() > 0 ? 1 : 0;
        };
        truncated.merge(task.name(), cut, Long::sum);
        @Nullable DocumentResult kept = journal.result(task.name(), item.number());
        if (kept != null) {
            results(task).put(item.number(), kept);
            resumed++;
            return;
        }
        switch (laid) {
            case Scoring(Pending pending) -> scoring.add(pending);
            case Writing w -> writing.add(w);
        }
    }

    private Map<Integer, DocumentResult> results(PreparedTask task) {
        return Objects.requireNonNull(results.get(task.name()));
    }

    /**
     * Documents that go through the model together: the longest first, those of one task together for what they share.
     */
    private List<List<Pending>> passes(List<Pending> pending) {
        Map<String, Integer> longest = new HashMap<>();
        pending.forEach(p -> longest.merge(p.task().name(), p.longest(), Math::max));
        List<Pending> order = pending.stream()
                .sorted(Comparator.comparing(
                                (Pending p) -> -longest.getOrDefault(p.task().name(), 0))
                        .thenComparing(p -> p.task().name())
                        .thenComparing(p -> -p.longest()))
                .toList();
        List<List<Pending>> passes = new ArrayList<>();
        List<Pending> pass = new ArrayList<>();
        int tokens = 0;
        for (Pending next : order) {
            int more = pass.isEmpty() ? next.tokens() : next.tokens() - shared(pass.getLast(), next);
            if (!pass.isEmpty() && tokens + more > subject.model().tokensPerPass()) {
                passes.add(pass);
                pass = new ArrayList<>();
                tokens = 0;
                more = next.tokens();
            }
            pass.add(next);
            tokens += more;
        }
        if (!pass.isEmpty()) {
            passes.add(pass);
        }
        return passes;
    }

    /** About how many ids two documents begin with alike. */
    private int shared(Pending a, Pending b) {
        Continuation one = a.requests().getFirst().truncated(contextTokens);
        Continuation other = b.requests().getFirst().truncated(contextTokens);
        int mismatch = Arrays.mismatch(one.ids(), other.ids());
        return mismatch < 0 ? other.ids().length - 1 : Math.min(mismatch, other.ids().length - 1);
    }

    private List<Continuation> continuations(List<Pending> pass) {
        return pass.stream()
                .flatMap(p -> p.requests().stream())
                .map(r -> r.truncated(contextTokens))
                .toList();
    }

    private void take(List<Pending> pass, ScoredContinuations scored) {
        List<Continuation> continuations = continuations(pass);
        requests += continuations.size();
        tokens += scored.tokens();
        tokensAlone += continuations.stream().mapToLong(c -> c.ids().length - 1).sum();
        List<ResultJournal.Entry> finished = new ArrayList<>();
        int at = 0;
        for (Pending p : pass) {
            List<RequestResult> found = new ArrayList<>();
            for (TokenSplit.Request request : p.requests()) {
                found.add(result(p, request, scored.scores().get(at++)));
            }
            finished.add(new ResultJournal.Entry(p.task().name(), judged(p, found)));
            results(p.task()).put(p.item().number(), finished.getLast().result());
            workDone += p.tokens();
        }
        finish(finished);
    }

    private RequestResult result(Pending p, TokenSplit.Request request, ScoredContinuations.Score score) {
        double sum = score.logLikelihood();
        if (!Double.isFinite(sum)) {
            throw new NonFiniteLogProbabilityException(place(p.task(), p.item()) + "log-likelihood is " + sum
                    + "; the weights or the arithmetic of the model are broken");
        }
        int cut = request.excess(contextTokens);
        return new RequestResult(
                Math.max(0, request.context().length - cut), score.logProbabilities().length, cut, sum, score.greedy());
    }

    private DocumentResult judged(Pending p, List<RequestResult> found) {
        List<RequestResult> summed = p.item().ask() instanceof Ask.Rolling ? List.of(sum(found)) : found;
        return p.task().rules().judged(p.item(), summed);
    }

    /** All windows of a text as one; an empty text has none, and costs nothing. */
    private static RequestResult sum(List<RequestResult> windows) {
        if (windows.isEmpty()) {
            return new RequestResult(0, 0, 0, 0, true);
        }
        return new RequestResult(
                windows.getFirst().contextTokens(),
                windows.stream().mapToInt(RequestResult::continuationTokens).sum(),
                0,
                windows.stream().mapToDouble(RequestResult::logLikelihood).sum(),
                windows.stream().allMatch(RequestResult::greedy));
    }

    private void written(Writing w, int[] ids) {
        String text = subject.tokenizer().decode(ids);
        for (String stop : w.ask().stops()) {
            int end = text.indexOf(stop);
            text = end < 0 ? text : text.substring(0, end);
        }
        requests++;
        tokens += w.prompt().length + ids.length;
        tokensAlone += w.prompt().length + ids.length;
        DocumentResult result = w.task().rules().judged(w.item(), text);
        results(w.task()).put(w.item().number(), result);
        workDone += w.prompt().length + w.ask().newTokens();
        finish(List.of(new ResultJournal.Entry(w.task().name(), result)));
    }

    private void finish(List<ResultJournal.Entry> finished) {
        journal.keep(finished);
        done += finished.size();
        progress.passDone(workDone / workToDo, done, documents);
    }

    private EvaluationResult result(List<PreparedTask> tasks, double seconds) {
        List<TaskResult> all = tasks.stream().map(this::result).toList();
        return new EvaluationResult(
                EvaluationResult.SCHEMA,
                Version.NIBBLE,
                subject.name(),
                subject.device(),
                options.preset().id(),
                options.bos(),
                options.limit().isPresent() ? options.limit().getAsInt() : null,
                all,
                Aggregates.groups(all),
                new Throughput(
                        requests, resumed, tokens, tokensAlone, flops, seconds, requests / seconds, flops / seconds));
    }

    private TaskResult result(PreparedTask task) {
        List<DocumentResult> documents = results(task).values().stream()
                .sorted(Comparator.comparingInt(DocumentResult::document))
                .toList();
        return new TaskResult(
                task.name(),
                task.group(),
                task.recipe(),
                task.rules().figures(documents),
                Objects.requireNonNull(truncated.get(task.name())),
                documents);
    }
}
