package nibble.serve.format;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.engine.batch.ScoredToken;
import nibble.serve.api.CompletionCall;
import nibble.serve.generation.Answer;
import nibble.serve.generation.Answers;
import nibble.serve.generation.Prompts;
import nibble.serve.generation.TokenTexts;

/** Forms answers of {@code /v1/completions}. */
public final class CompletionFormat extends AnswerFormat {
    private static final String KIND = "text_completion";

    private final CompletionCall call;
    private final Prompts prompts;
    /** Characters of the tokens shown so far, by text. */
    private final Map<Integer, Integer> offsets = new HashMap<>();

    /** Makes a form; {@code id} and {@code model} are the answer's. */
    public CompletionFormat(String id, String model, TokenTexts texts, CompletionCall call, Prompts prompts) {
        super(id, model, texts, call.options());
        this.call = call;
        this.prompts = prompts;
    }

    @Override
    String pieceKind() {
        return KIND;
    }

    @Override
    public ObjectNode whole(Answers answers) {
        ObjectNode body = head(KIND);
        ArrayNode choices = body.putArray("choices");
        for (Answer answer : answers.all()) {
            List<ScoredToken> tokens = answer.takeTokens();
            ObjectNode choice = choices.addObject()
                    .put("index", answer.index())
                    .put("text", (call.echo() ? promptText(answer) : "") + answer.takeText());
            addLogProbabilities(
                    choice, answer, call.echo() ? first(answer, answers).promptTokens() : List.of(), tokens);
            addFinish(choice, answer);
            if (options.tokenIds()) {
                choice.set("token_ids", ids(tokens));
                choice.set("prompt_token_ids", ids(answer.prompt()));
            }
            if (options.promptAlternatives() >= 0) {
                choice.set("prompt_logprobs", promptLogProbabilities(first(answer, answers)));
            }
        }
        body.set("usage", usage(answers, true));
        return body;
    }

    @Override
    public List<ObjectNode> first(Answers answers) {
        List<ObjectNode> pieces = new ArrayList<>();
        if (call.echo()) {
            for (Answer answer : answers.all()) {
                ObjectNode piece = head(KIND);
                ObjectNode choice = piece.putArray("choices")
                        .addObject()
                        .put("index", answer.index())
                        .put("text", promptText(answer));
                addLogProbabilities(choice, answer, first(answer, answers).promptTokens(), List.of());
                choice.putNull("finish_reason").putNull("stop_reason");
                addUsage(piece, answers);
                pieces.add(piece);
            }
        }
        return pieces;
    }

    @Override
    public ObjectNode piece(Answer answer, Answers answers) {
        ObjectNode piece = head(KIND);
        List<ScoredToken> tokens = answer.takeTokens();
        ObjectNode choice = piece.putArray("choices")
                .addObject()
                .put("index", answer.index())
                .put("text", answer.takeText());
        addLogProbabilities(choice, answer, List.of(), tokens);
        addFinish(choice, answer);
        if (options.tokenIds()) {
            choice.set("token_ids", ids(tokens));
        }
        addUsage(piece, answers);
        return piece;
    }

    private String promptText(Answer answer) {
        return prompts.text(call.prompts().get(answer.index() / options.choices()));
    }

    /** The first choice of the same prompt, which alone has its scores. */
    private Answer first(Answer answer, Answers answers) {
        return answers.all().get(answer.index() - answer.index() % options.choices());
    }

    private void addLogProbabilities(
            ObjectNode choice, Answer answer, List<ScoredToken> prompt, List<ScoredToken> tokens) {
        if (call.alternatives() < 0) {
            choice.putNull("logprobs");
            return;
        }
        List<ScoredToken> shown = new ArrayList<>(prompt);
        shown.addAll(tokens);
        ObjectNode logprobs = choice.putObject("logprobs");
        ArrayNode offset = logprobs.putArray("text_offset");
        ArrayNode own = logprobs.putArray("token_logprobs");
        ArrayNode names = logprobs.putArray("tokens");
        ArrayNode top = logprobs.putArray("top_logprobs");
        int at = offsets.getOrDefault(answer.index(), 0);
        for (ScoredToken token : shown) {
            offset.add(at);
            at += texts.characters(token.id());
            names.add(texts.text(token.id(), "bytes:"));
            if (Float.isNaN(token.logProbability())) {
                own.addNull();
                top.addNull();
                continue;
            }
            own.add(finite(token.logProbability()));
            ObjectNode likeliest = top.addObject();
            likeliest.put(texts.text(token.id(), "bytes:"), finite(token.logProbability()));
            token.alternatives().stream().limit(call.alternatives()).forEach(other -> {
                String name = texts.text(other.id(), "bytes:");
                if (!likeliest.has(name)) {
                    likeliest.put(name, finite(other.logProbability()));
                }
            });
        }
        offsets.put(answer.index(), at);
    }
}
