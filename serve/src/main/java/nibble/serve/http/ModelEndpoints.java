package nibble.serve.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import nibble.files.Version;
import nibble.serve.api.ApiException;
import nibble.serve.api.ChatCall;
import nibble.serve.api.Fields;
import nibble.serve.generation.Prompts;
import nibble.serve.generation.ServedModel;
import nibble.serve.generation.TokenTexts;

/** Answers {@code /v1/models}, {@code /tokenize}, {@code /detokenize} and {@code /version}. */
final class ModelEndpoints {
    private static final String MODELS = "/v1/models/";

    private final ServedModel model;
    private final TokenTexts texts;
    private final Prompts prompts;
    private final long created = System.currentTimeMillis() / 1000;

    ModelEndpoints(ServedModel model, TokenTexts texts, Prompts prompts) {
        this.model = model;
        this.texts = texts;
        this.prompts = prompts;
    }

    void list(Exchange exchange) {
        ObjectNode body = JsonNodeFactory.instance.objectNode().put("object", "list");
        ArrayNode data = body.putArray("data");
        model.names().forEach(name -> data.add(described(name)));
        exchange.send(200, body);
    }

    /** Answers for one model, {@code /v1/models/NAME}; a name may have slashes in it. */
    void one(Exchange exchange) {
        String name = exchange.path().substring(MODELS.length());
        if (!model.names().contains(name)) {
            throw ApiException.unknownModel("The model `" + name + "` does not exist.");
        }
        exchange.send(200, described(name));
    }

    private ObjectNode described(String name) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("id", name)
                .put("object", "model")
                .put("created", created)
                .put("owned_by", "nibble")
                .put("root", model.root())
                .putNull("parent")
                .put("max_model_len", model.contextTokens());
    }

    void tokenize(Exchange exchange) {
        ObjectNode body = exchange.json();
        GenerationEndpoints.requireModel(model, body);
        Fields fields = new Fields(body);
        int[] ids;
        if (fields.node("messages").isPresent()) {
            ids = prompts.ids(ChatCall.conversation(body));
        } else {
            String text = fields.text("prompt")
                    .orElseThrow(() -> ApiException.invalid("prompt", "prompt or messages is missing"));
            ids = prompts.encode(text, fields.flag("add_special_tokens", true), "prompt");
        }
        ObjectNode answer = JsonNodeFactory.instance.objectNode().put("count", ids.length);
        answer.put("max_model_len", model.contextTokens());
        ArrayNode tokens = answer.putArray("tokens");
        for (int id : ids) {
            tokens.add(id);
        }
        if (fields.flag("return_token_strs", false)) {
            ArrayNode pieces = answer.putArray("token_strs");
            for (int id : ids) {
                pieces.add(texts.piece(id));
            }
        } else {
            answer.putNull("token_strs");
        }
        exchange.send(200, answer);
    }

    void detokenize(Exchange exchange) {
        ObjectNode body = exchange.json();
        GenerationEndpoints.requireModel(model, body);
        Fields fields = new Fields(body);
        JsonNode tokens = fields.node("tokens")
                .orElseThrow(() -> ApiException.invalid("tokens", "tokens is missing; give a list of token ids"));
        if (!tokens.isArray()) {
            throw ApiException.invalid("tokens", "tokens: expected a list of token ids");
        }
        int[] ids = fields.ids("tokens", tokens, model.tokenizer().vocabularySize());
        String text = ids.length == 0 ? "" : model.tokenizer().decodeWithSpecial(ids);
        exchange.send(200, JsonNodeFactory.instance.objectNode().put("prompt", text));
    }

    void version(Exchange exchange) {
        exchange.send(200, JsonNodeFactory.instance.objectNode().put("version", Version.NIBBLE));
    }
}
