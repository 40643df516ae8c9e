package nibble.engine.batch;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import nibble.engine.Llama;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Extents;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.RowLogits;
import org.jspecify.annotations.Nullable;

/**
 * Runs many texts step by step: continuous batching. A step gives each running text its next token and reads pieces of
 * prompts with the tokens that are left; then waiting texts join in the order of their coming. If blocks run out, the
 * text that came last gives up its blocks and is computed again later. What a step does depends on the order of
 * requests alone. Borrows the model; used by one thread at a time.
 */
public final class BatchScheduler implements AutoCloseable {
    private final BatchOptions options;
    private final Llama model;
    private final BatchPass pass;
    private final BlockPool pool;
    private final int contextTokens;
    private final ArrayDeque<RunningText> waiting = new ArrayDeque<>();
    /** In the order of their coming. */
    private final List<RunningText> running = new ArrayList<>();

    private long promptTokens;
    private long cachedPromptTokens;
    private long generatedTokens;
    private long preemptions;
    private long steps;

    /** A text's share of a step. */
    private record Share(RunningText text, int count) {}

    public BatchScheduler(Llama model, BatchOptions options) {
        if (model.sharesWithHost()) {
            throw new IllegalArgumentException(
                    "a service of many texts computes all layers on one device, and the host has some of this model's");
        }
        this.options = options;
        this.model = model;
        this.pool = new BlockPool(options.blocks());
        this.contextTokens = Math.min(contextTokens(model), pool.blocks() * BatchOptions.BLOCK_TOKENS);
        this.pass = new BatchPass(model, options, contextTokens);
    }

    /** Returns the most ids of a text: what the model was made for, as far as the cache holds it. */
    public int contextTokens() {
        return contextTokens;
    }

    /** Returns the most ids of a text in a batch of a model, whatever the cache holds. */
    public static int contextTokens(Llama model) {
        // Keys of a sequence that outgrows dynamic rope have the rotation of their own time.
        return Math.min(RotaryTable.steadyLength(model.weights().config()), model.contextTokens());
    }

    /** Queues a text; the arguments and errors are those of {@link GenerationService#submit}. */
    public Generation add(GenerationRequest request, GenerationListener listener) {
        RunningText text = new RunningText(request, listener, () -> {});
        add(text);
        return text;
    }

    void add(RunningText text) {
        check(text.request);
        int texts = running.size() + waiting.size();
        if (texts >= options.maxTexts()) {
            throw new QueueFullException(
                    texts + " texts run or wait already, at most " + options.maxTexts() + " may; try again later");
        }
        waiting.add(text);
    }

    /** Checks a request before it is queued. */
    void check(GenerationRequest request) {
        int most = contextTokens();
        int least = request.prompt().length + Math.min(1, request.maxNewTokens());
        if (least > most) {
            throw new IllegalArgumentException(
                    "context overflow: prompt of " + request.prompt().length + " tokens, at most "
                            + (most - Math.min(1, request.maxNewTokens())) + " fit the context of " + most);
        }
        Extents.ids(model.placed().embedding(), request.prompt());
    }

    /** Returns what runs and waits now, and what was done. */
    public ServiceState state() {
        return new ServiceState(
                running.size(),
                waiting.size(),
                pool.used(),
                pool.blocks(),
                promptTokens,
                cachedPromptTokens,
                generatedTokens,
                preemptions,
                steps);
    }

    /** Forgets the beginnings of texts that ended: those that follow are computed as if there had been none. */
    void forget() {
        pool.forget();
    }

    /** Runs texts until none is left. */
    public void run() {
        while (step()) {}
    }

    /**
     * Runs one pass through the model.
     *
     * @return false if there was nothing to do
     */
    public boolean step() {
        dropCancelled();
        List<Share> shares = shares();
        if (shares.isEmpty()) {
            return false;
        }
        steps++;
        List<@Nullable Choice> choices = new ArrayList<>();
        for (List<Share> together : passes(shares)) {
            try {
                choices.addAll(run(together));
            } catch (RuntimeException e) {
                shares.forEach(share -> fail(share.text(), e));
                return true;
            }
        }
        for (Share share : shares) {
            share.text().advance(pool, share.count());
        }
        for (int i = 0; i < shares.size(); i++) {
            Choice choice = choices.get(i);
            if (choice != null) {
                goOn(shares.get(i).text(), choice);
            }
        }
        return true;
    }

    /** Next tokens as many together as the device takes, then all pieces of prompts. */
    private List<List<Share>> passes(List<Share> shares) {
        int most = pass.textsTogether();
        int next = (int) shares.stream().filter(share -> share.count() == 1).count();
        if (most == Integer.MAX_VALUE) {
            return List.of(shares);
        }
        List<List<Share>> passes = new ArrayList<>();
        for (int from = 0; from < next; from += most) {
            passes.add(shares.subList(from, Math.min(next, from + most)));
        }
        if (next < shares.size()) {
            passes.add(shares.subList(next, shares.size()));
        }
        return passes;
    }

    /** Runs shares in one pass; returns how each text goes on that has no more ids, or null. */
    private List<@Nullable Choice> run(List<Share> shares) {
        List<BatchPass.Piece> pieces = new ArrayList<>();
        for (Share share : shares) {
            pieces.add(piece(share));
        }
        List<@Nullable Choice> choices = new ArrayList<>(Collections.nCopies(shares.size(), null));
        pass.run(pieces, (piece, id, logits) -> {
            RunningText text = shares.get(piece).text();
            int position = text.computed() + id;
            if (position + 1 < text.length()) {
                scorePrompt(text, position, logits);
            } else {
                choices.set(piece, choose(text, logits));
            }
        });
        return choices;
    }

    /** Distributes the tokens of a step: first a token for each text that generates, then pieces of prompts. */
    private List<Share> shares() {
        int budget = options.tokensPerStep();
        List<Share> shares = new ArrayList<>();
        for (boolean prompts : new boolean[] {false, true}) {
            for (int i = 0; i < running.size() && budget > 0; i++) {
                RunningText text = running.get(i);
                if (text.pending() > 1 != prompts) {
                    continue;
                }
                int count = Math.min(budget, text.pending());
                if (reserve(text, count, shares)) {
                    shares.add(new Share(text, count));
                    budget -= count;
                }
            }
        }
        while (budget > 0 && running.size() < options.maxSequences() && !waiting.isEmpty()) {
            RunningText text = waiting.getFirst();
            text.begin(pool);
            int count = Math.min(budget, text.pending());
            if (!text.reserve(pool, count)) {
                text.release(pool);
                break;
            }
            waiting.removeFirst();
            running.add(text);
            if (text.generated() == 0) {
                promptTokens += text.length();
                cachedPromptTokens += text.cachedPromptTokens();
            }
            shares.add(new Share(text, count));
            budget -= count;
        }
        // Stable: texts keep their order.
        shares.sort(Comparator.comparing(share -> share.count() > 1));
        return shares;
    }

    /** Takes blocks for a text, if need be from those that came later and have no share yet. */
    private boolean reserve(RunningText text, int count, List<Share> shares) {
        while (!text.reserve(pool, count)) {
            RunningText last = running.getLast();
            preempt(last);
            shares.removeIf(share -> share.text() == last);
            if (last == text) {
                return false;
            }
        }
        return true;
    }

    private void preempt(RunningText text) {
        running.remove(text);
        text.release(pool);
        waiting.addFirst(text);
        preemptions++;
    }

    private static BatchPass.Piece piece(Share share) {
        RunningText text = share.text();
        int end = text.computed() + share.count();
        int prompt = text.request.prompt().length;
        boolean scores = text.request.scorePrompt() && text.promptScores.size() < prompt;
        int firstLogits = share.count();
        if (scores) {
            firstLogits = Math.max(0, text.promptScores.size() - 1 - text.computed());
        } else if (end == text.length()) {
            firstLogits = share.count() - 1;
        }
        int[] following = new int[share.count()];
        for (int i = 0; i < following.length; i++) {
            int next = text.computed() + i + 1;
            following[i] = next < text.length() ? text.id(next) : Likeliest.NONE;
        }
        return new BatchPass.Piece(
                text.ids(text.computed(), share.count()),
                text.computed(),
                text.blocks(),
                firstLogits,
                following,
                text.request.sampling().temperature());
    }

    private static void scorePrompt(RunningText text, int position, RowLogits logits) {
        if (text.request.scorePrompt() && text.promptScores.size() == position + 1) {
            text.promptScores.add(
                    TokenScoring.score(text.id(position + 1), logits, Math.max(0, text.request.alternatives())));
        }
    }

    /** How a text goes on by the logits after its last id. */
    private Choice choose(RunningText text, RowLogits logits) {
        GenerationRequest request = text.request;
        if (isFull(text)) {
            return new Choice.End(Ending.LENGTH);
        }
        try {
            int id = text.sampler.next(logits);
            if (request.stopIds().contains(id)) {
                return new Choice.End(Ending.STOP);
            }
            return new Choice.Next(
                    request.withLogProbabilities()
                            ? TokenScoring.score(id, logits, request.alternatives())
                            : ScoredToken.unscored(id));
        } catch (RuntimeException e) {
            return new Choice.Failed(e);
        }
    }

    private boolean isFull(RunningText text) {
        return text.generated() >= text.request.maxNewTokens() || text.length() >= contextTokens();
    }

    /** Hands out what was chosen, and ends a text where it is to end. */
    private void goOn(RunningText text, Choice choice) {
        try {
            if (text.request.scorePrompt() && text.generated() == 0) {
                text.listener.promptScored(List.copyOf(text.promptScores));
            }
            switch (choice) {
                case Choice.End(Ending ending) -> end(text, ending);
                case Choice.Failed(RuntimeException cause) -> fail(text, cause);
                case Choice.Next(ScoredToken token) -> {
                    text.append(token.id());
                    generatedTokens++;
                    if (!text.listener.token(token)) {
                        end(text, Ending.STOP);
                    } else if (isFull(text)) {
                        end(text, Ending.LENGTH);
                    }
                }
            }
        } catch (RuntimeException e) {
            fail(text, e);
        }
    }

    private void dropCancelled() {
        for (RunningText text : List.copyOf(running)) {
            if (text.cancelled()) {
                end(text, Ending.CANCELLED);
            }
        }
        for (RunningText text : List.copyOf(waiting)) {
            if (text.cancelled()) {
                end(text, Ending.CANCELLED);
            }
        }
    }

    private void end(RunningText text, Ending ending) {
        remove(text);
        text.listener.ended(ending);
    }

    private void fail(RunningText text, RuntimeException cause) {
        remove(text);
        text.listener.failed(cause);
    }

    private void remove(RunningText text) {
        running.remove(text);
        waiting.remove(text);
        text.release(pool);
    }

    /** Cancels all texts and frees the cache. */
    @Override
    public void close() {
        List<RunningText> left = new ArrayList<>(running);
        left.addAll(waiting);
        left.forEach(text -> end(text, Ending.CANCELLED));
        pass.close();
    }
}
