package nibble.eval.requests;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import nibble.datasets.Tokenizer;
import nibble.engine.Continuation;
import nibble.engine.LanguageModel;
import nibble.engine.ScoredContinuations;
import nibble.engine.batch.BatchWriter;
import nibble.engine.batch.WantedText;

/**
 * Computes requests with a model of this process, in order.
 *
 * @param model not closed
 * @param stopIds ids that end a text
 */
public record LocalRequests(LanguageModel model, Tokenizer tokenizer, Set<Integer> stopIds) implements RequestEngine {
    @Override
    public void score(List<List<Continuation>> passes, boolean together, Scored scored) {
        for (int i = 0; i < passes.size(); i++) {
            scored.of(i, together ? model.score(passes.get(i)) : alone(passes.get(i)));
        }
    }

    private ScoredContinuations alone(List<Continuation> continuations) {
        List<ScoredContinuations.Score> scores = new ArrayList<>();
        long tokens = 0;
        double flops = 0;
        for (Continuation continuation : continuations) {
            ScoredContinuations one = model.score(List.of(continuation));
            scores.addAll(one.scores());
            tokens += one.tokens();
            flops += one.flops();
        }
        return new ScoredContinuations(scores, tokens, flops);
    }

    @Override
    public void write(List<Prompt> prompts, Written written) {
        BatchWriter.write(
                model,
                IntStream.range(0, prompts.size())
                        .mapToObj(i -> wanted(i, prompts.get(i), written))
                        .toList());
    }

    private WantedText wanted(int index, Prompt prompt, Written written) {
        List<Integer> ids = new ArrayList<>();
        return new WantedText(
                prompt.ids(),
                prompt.newTokens(),
                stopIds,
                id -> {
                    ids.add(id);
                    String text = tokenizer.decode(array(ids));
                    return prompt.stops().stream().noneMatch(text::contains);
                },
                _ -> written.of(index, array(ids)));
    }

    private static int[] array(List<Integer> ids) {
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }
}
