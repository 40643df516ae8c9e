package nibble.cluster.eval;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.DoubleConsumer;
import java.util.function.IntPredicate;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.EnginePlace;
import nibble.cluster.spark.ExecutorEngine;
import nibble.engine.Continuation;
import nibble.engine.LanguageModel;
import nibble.engine.ScoredContinuations;
import nibble.eval.requests.LocalRequests;
import nibble.eval.requests.RequestEngine;
import org.jspecify.annotations.Nullable;

/**
 * Spreads a model over the executors of a cluster, each of which loads it once. On the CPU it gives what one machine
 * gives, to the last bit: executors make the same calls of the model, with the same sequences. Borrows the cluster.
 */
public final class ClusterModel implements LanguageModel, RequestEngine {
    private final Cluster cluster;
    private final EnginePlace place;
    private final ModelFacts facts;
    private final DoubleConsumer progress;

    /** A part of a list, and its place there. */
    private record Part<T>(int index, T of) {}

    private ClusterModel(Cluster cluster, EnginePlace place, ModelFacts facts, DoubleConsumer progress) {
        this.cluster = cluster;
        this.place = place;
        this.facts = facts;
        this.progress = progress;
    }

    /**
     * Has an executor load the model and say what it is.
     *
     * @param windowTokens of the windows that are scored at once; any number where none are
     * @param progress told the share of the windows that is done
     * @throws ClusterException if the cluster cannot load it
     */
    public static ClusterModel open(Cluster cluster, EnginePlace place, int windowTokens, DoubleConsumer progress) {
        ModelFacts facts =
                cluster.run("loading " + place.model(), Math.max(2, windowTokens), new ModelFacts.Question(place));
        return new ClusterModel(cluster, place, facts, progress);
    }

    /** Returns the description of an executor's device. */
    public String description() {
        return facts.description();
    }

    /** Returns the kind of the executors' device, as {@code cpu}. */
    public String deviceKind() {
        return facts.kind();
    }

    private <T, R> EngineTask<T, R> task(EngineWork<T, R> work) {
        return new EngineTask<>(place, facts.identity(), work);
    }

    @Override
    public int contextTokens() {
        return facts.contextTokens();
    }

    @Override
    public int vocabularySize() {
        return facts.vocabularySize();
    }

    @Override
    public int tokensPerPass() {
        return facts.tokensPerPass();
    }

    /** Returns as many as there are: they are shared out to executors, in batches of an executor's own size. */
    @Override
    public int sequencesPerBatch(int tokens) {
        return Integer.MAX_VALUE / 2;
    }

    @Override
    public float[] logProbabilities(int[] ids) {
        return logProbabilities(List.of(ids)).getFirst();
    }

    @Override
    public List<float[]> logProbabilities(List<int[]> sequences) {
        int batch = facts.sequencesPerBatch();
        List<Part<int[][]>> parts = new ArrayList<>();
        for (int first = 0; first < sequences.size(); first += batch) {
            parts.add(new Part<>(
                    first,
                    sequences
                            .subList(first, Math.min(sequences.size(), first + batch))
                            .toArray(int[][]::new)));
        }
        float[][] found = new float[sequences.size()][];
        int[] done = new int[1];
        run("windows", parts, part -> part.of().length, new Windows(), (first, values) -> {
            System.arraycopy(values, 0, found, first, values.length);
            done[0] += values.length;
            progress.accept((double) done[0] / found.length);
        });
        return Arrays.asList(found);
    }

    private record Windows() implements EngineWork<List<int[][]>, List<float[][]>> {
        @Override
        public List<float[][]> of(ExecutorEngine engine, List<int[][]> batches) {
            List<float[][]> found = new ArrayList<>();
            batches.forEach(batch ->
                    found.add(engine.model().logProbabilities(List.of(batch)).toArray(float[][]::new)));
            return found;
        }
    }

    @Override
    public ScoredContinuations score(List<Continuation> continuations) {
        ScoredContinuations[] found = new ScoredContinuations[1];
        score(List.of(continuations), true, (_, scores) -> found[0] = scores);
        return found[0];
    }

    @Override
    public void score(List<List<Continuation>> passes, boolean together, Scored scored) {
        run(
                "requests",
                IntStream.range(0, passes.size())
                        .mapToObj(i -> new Part<>(i, passes.get(i).toArray(Continuation[]::new)))
                        .toList(),
                part -> Continuation.tokens(List.of(part.of())),
                new Passes(together),
                scored::of);
    }

    private record Passes(boolean together) implements EngineWork<List<Continuation[]>, List<ScoredContinuations>> {
        @Override
        public List<ScoredContinuations> of(ExecutorEngine engine, List<Continuation[]> passes) {
            List<ScoredContinuations> found = new ArrayList<>();
            new LocalRequests(engine.model(), engine.tokenizer(), engine.stopIds())
                    .score(passes.stream().map(List::of).toList(), together, (_, scores) -> found.add(scores));
            return found;
        }
    }

    @Override
    public void write(List<Prompt> prompts, Written written) {
        write(prompts, null, written);
    }

    private void write(List<Prompt> prompts, @Nullable Set<Integer> stopIds, Written written) {
        run(
                "texts",
                IntStream.range(0, prompts.size())
                        .mapToObj(i -> new Part<>(i, prompts.get(i)))
                        .toList(),
                part -> part.of().ids().length + part.of().newTokens(),
                new Texts(stopIds),
                written::of);
    }

    /**
     * Texts of a partition are written together where the device gains by that.
     *
     * @param stopIds null for those that the model's files name
     */
    private record Texts(@Nullable Set<Integer> stopIds) implements EngineWork<List<Prompt>, List<int[]>> {
        @Override
        public List<int[]> of(ExecutorEngine engine, List<Prompt> prompts) {
            int[][] found = new int[prompts.size()][];
            new LocalRequests(engine.model(), engine.tokenizer(), stopIds == null ? engine.stopIds() : stopIds)
                    .write(prompts, (index, ids) -> found[index] = ids);
            return List.of(found);
        }
    }

    /** Writes to the end first: {@code goesOn} hears of the ids when all are there, and the text is cut after it. */
    @Override
    public int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn) {
        int[][] found = new int[1][];
        write(List.of(new Prompt(prompt, maxNewTokens, List.of())), Set.copyOf(stopIds), (_, ids) -> found[0] = ids);
        int length = 0;
        while (length < found[0].length && goesOn.test(found[0][length++])) {
            // The next one.
        }
        return Arrays.copyOf(found[0], length);
    }

    /** Takes the result of a part. */
    @FunctionalInterface
    private interface Found<R> {
        void of(int index, R result);
    }

    /** Computes parts, in partitions of about equal cost; results come back a partition at a time. */
    private <T, R> void run(
            String what,
            List<Part<T>> parts,
            ToLongFunction<Part<T>> cost,
            EngineWork<List<T>, List<R>> work,
            Found<R> found) {
        List<List<Part<T>>> partitions = Partitions.of(parts, cluster.slots(), cost);
        List<List<T>> inputs = partitions.stream()
                .map(partition -> partition.stream().map(Part::of).toList())
                .toList();
        cluster.run(what + " of " + place.model(), inputs, task(work), (index, results) -> {
            List<Part<T>> asked = partitions.get(index);
            for (int i = 0; i < asked.size(); i++) {
                found.of(asked.get(i).index(), results.get(i));
            }
        });
    }

    /** Does nothing: executors keep the model for as long as the cluster runs. */
    @Override
    public void close() {}
}
