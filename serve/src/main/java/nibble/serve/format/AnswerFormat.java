package nibble.serve.format;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import nibble.engine.batch.ScoredToken;
import nibble.files.Version;
import nibble.serve.api.TextOptions;
import nibble.serve.generation.Answer;
import nibble.serve.generation.Answers;
import nibble.serve.generation.TokenTexts;
import org.jspecify.annotations.Nullable;

/** Forms the answers to one request; used by one thread. */
public abstract sealed class AnswerFormat permits CompletionFormat, ChatFormat {
    static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    /** JSON has no infinity; this is what other servers write for it. */
    private static final float LEAST_LOG_PROBABILITY = -9999;

    final TokenTexts texts;
    final TextOptions options;
    private final String id;
    private final String model;
    private final long created = System.currentTimeMillis() / 1000;

    /**
     * Makes a form.
     *
     * @param id of the answer
     * @param model its name
     */
    AnswerFormat(String id, String model, TokenTexts texts, TextOptions options) {
        this.id = id;
        this.model = model;
        this.texts = texts;
        this.options = options;
    }

    /** Returns the whole answer. */
    public abstract ObjectNode whole(Answers answers);

    /** Returns pieces that go before any text. */
    public abstract List<ObjectNode> first(Answers answers);

    /** Returns a piece with what is new of a text, and with its end if it has come. */
    public abstract ObjectNode piece(Answer answer, Answers answers);

    /** Returns the piece without text that tells the usage. */
    public ObjectNode usagePiece(Answers answers) {
        ObjectNode piece = head(pieceKind());
        piece.putArray("choices");
        piece.set("usage", usage(answers, true));
        return piece;
    }

    abstract String pieceKind();

    ObjectNode head(String kind) {
        return JSON.objectNode()
                .put("id", id)
                .put("object", kind)
                .put("created", created)
                .put("model", model)
                .put("system_fingerprint", "nibble-" + Version.NIBBLE);
    }

    /** Adds the usage to a piece, where the client asked for it: null until the end, as OpenAI has it. */
    void addUsage(ObjectNode piece, Answers answers) {
        if (options.continuousUsage()) {
            piece.set("usage", usage(answers, false));
        } else if (options.usage()) {
            piece.putNull("usage");
        }
    }

    ObjectNode usage(Answers answers, boolean details) {
        int prompt = 0;
        int made = 0;
        for (Answer answer : answers.all()) {
            prompt += answer.index() % options.choices() == 0 ? answer.prompt().length : 0;
            made += answer.tokens();
        }
        ObjectNode usage = JSON.objectNode()
                .put("prompt_tokens", prompt)
                .put("total_tokens", prompt + made)
                .put("completion_tokens", made);
        if (details) {
            usage.putObject("prompt_tokens_details").put("cached_tokens", answers.cachedPromptTokens());
        }
        return usage;
    }

    static void addFinish(ObjectNode choice, Answer answer) {
        Answer.@Nullable Finish finish = answer.finish().orElse(null);
        choice.put("finish_reason", finish == null ? null : finish.reason());
        if (finish != null && finish.stop() instanceof Integer stopId) {
            choice.put("stop_reason", stopId);
        } else {
            choice.put("stop_reason", finish != null && finish.stop() instanceof String text ? text : null);
        }
    }

    static ArrayNode ids(int[] ids) {
        ArrayNode list = JSON.arrayNode();
        for (int one : ids) {
            list.add(one);
        }
        return list;
    }

    static ArrayNode ids(List<ScoredToken> tokens) {
        return ids(tokens.stream().mapToInt(ScoredToken::id).toArray());
    }

    static float finite(float logProbability) {
        return Math.max(LEAST_LOG_PROBABILITY, logProbability);
    }

    /** The form of {@code prompt_logprobs}: null for the first id, then the id itself and the likeliest ones. */
    @Nullable
    ArrayNode promptLogProbabilities(Answer answer) {
        if (options.promptAlternatives() < 0 || answer.promptTokens().isEmpty()) {
            return null;
        }
        ArrayNode list = JSON.arrayNode();
        for (ScoredToken token : answer.promptTokens()) {
            if (Float.isNaN(token.logProbability())) {
                list.addNull();
                continue;
            }
            ObjectNode place = list.addObject();
            addRanked(place, token.id(), token.logProbability(), token.rank());
            for (int i = 0;
                    i
                            < Math.min(
                                    options.promptAlternatives(),
                                    token.alternatives().size());
                    i++) {
                ScoredToken.Alternative other = token.alternatives().get(i);
                if (other.id() != token.id()) {
                    addRanked(place, other.id(), other.logProbability(), i + 1);
                }
            }
        }
        return list;
    }

    private void addRanked(ObjectNode place, int token, float logProbability, int rank) {
        place.putObject(Integer.toString(token))
                .put("logprob", finite(logProbability))
                .put("rank", rank)
                .put("decoded_token", texts.text(token, "bytes:"));
    }
}
