package nibble.serve.format;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import nibble.engine.batch.ScoredToken;
import nibble.serve.api.ChatCall;
import nibble.serve.generation.Answer;
import nibble.serve.generation.Answers;
import nibble.serve.generation.TokenTexts;

/** Forms answers of {@code /v1/chat/completions}. */
public final class ChatFormat extends AnswerFormat {
    private static final String PIECE = "chat.completion.chunk";

    private final ChatCall call;

    /** Makes a form; {@code id} and {@code model} are the answer's. */
    public ChatFormat(String id, String model, TokenTexts texts, ChatCall call) {
        super(id, model, texts, call.options());
        this.call = call;
    }

    @Override
    String pieceKind() {
        return PIECE;
    }

    @Override
    public ObjectNode whole(Answers answers) {
        ObjectNode body = head("chat.completion");
        ArrayNode choices = body.putArray("choices");
        for (Answer answer : answers.all()) {
            List<ScoredToken> tokens = answer.takeTokens();
            ObjectNode choice = choices.addObject().put("index", answer.index());
            choice.putObject("message")
                    .put("role", "assistant")
                    .put("content", answer.takeText())
                    .putNull("refusal");
            addLogProbabilities(choice, tokens);
            addFinish(choice, answer);
            if (options.tokenIds()) {
                choice.set("token_ids", ids(tokens));
            }
        }
        body.set("usage", usage(answers, true));
        Answer first = answers.all().getFirst();
        if (options.tokenIds()) {
            body.set("prompt_token_ids", ids(first.prompt()));
        }
        if (options.promptAlternatives() >= 0) {
            body.set("prompt_logprobs", promptLogProbabilities(first));
        }
        return body;
    }

    @Override
    public List<ObjectNode> first(Answers answers) {
        List<ObjectNode> pieces = new ArrayList<>();
        for (Answer answer : answers.all()) {
            ObjectNode piece = head(PIECE);
            ObjectNode choice = piece.putArray("choices").addObject().put("index", answer.index());
            choice.putObject("delta").put("role", "assistant").put("content", "");
            choice.putNull("logprobs").putNull("finish_reason");
            addUsage(piece, answers);
            pieces.add(piece);
        }
        return pieces;
    }

    @Override
    public ObjectNode piece(Answer answer, Answers answers) {
        ObjectNode piece = head(PIECE);
        List<ScoredToken> tokens = answer.takeTokens();
        String text = answer.takeText();
        ObjectNode choice = piece.putArray("choices").addObject().put("index", answer.index());
        ObjectNode delta = choice.putObject("delta");
        if (!text.isEmpty() || answer.finish().isEmpty()) {
            delta.put("content", text);
        }
        addLogProbabilities(choice, tokens);
        addFinish(choice, answer);
        if (options.tokenIds()) {
            choice.set("token_ids", ids(tokens));
        }
        addUsage(piece, answers);
        return piece;
    }

    private void addLogProbabilities(ObjectNode choice, List<ScoredToken> tokens) {
        if (call.alternatives() < 0) {
            choice.putNull("logprobs");
            return;
        }
        ArrayNode content = choice.putObject("logprobs").putArray("content");
        for (ScoredToken token : tokens) {
            ObjectNode place = named(token.id(), token.logProbability());
            ArrayNode top = place.putArray("top_logprobs");
            token.alternatives().stream()
                    .limit(call.alternatives())
                    .forEach(other -> top.add(named(other.id(), other.logProbability())));
            content.add(place);
        }
    }

    private ObjectNode named(int id, float logProbability) {
        ObjectNode node = JSON.objectNode().put("token", texts.text(id, "")).put("logprob", finite(logProbability));
        ArrayNode bytes = node.putArray("bytes");
        for (byte one : texts.bytes(id)) {
            bytes.add(one & 0xff);
        }
        return node;
    }
}
