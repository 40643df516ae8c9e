package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/**
 * The ids that a tokenizer.json's {@code post_processor} puts around a text.
 *
 * @param leading before it
 * @param trailing behind it
 */
record PostProcessor(List<Integer> leading, List<Integer> trailing) {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    PostProcessor {
        leading = List.copyOf(leading);
        trailing = List.copyOf(trailing);
    }

    static PostProcessor of(JsonNode processor) {
        List<Integer> leading = new ArrayList<>();
        List<Integer> trailing = new ArrayList<>();
        collect(processor, leading, trailing, 0);
        return new PostProcessor(leading, trailing);
    }

    private static void collect(JsonNode processor, List<Integer> leading, List<Integer> trailing, int depth) {
        switch (processor.path("type").asText()) {
            case "Sequence" -> {
                for (JsonNode part : processor.path("processors")) {
                    if (depth < 8) {
                        collect(part, leading, trailing, depth + 1);
                    }
                }
            }
            case "TemplateProcessing" -> template(processor, leading, trailing);
            case "RobertaProcessing", "BertProcessing" -> {
                leading.addFirst(processor.at("/cls/1").asInt(-1));
                trailing.add(processor.at("/sep/1").asInt(-1));
            }
            default -> {}
        }
    }

    private static void template(JsonNode processor, List<Integer> leading, List<Integer> trailing) {
        List<Integer> before = new ArrayList<>();
        boolean behind = false;
        for (JsonNode part : processor.path("single")) {
            if (part.has("Sequence")) {
                behind = true;
                continue;
            }
            for (JsonNode id : processor
                    .path("special_tokens")
                    .path(part.at("/SpecialToken/id").asText())
                    .path("ids")) {
                (behind ? trailing : before).add(id.asInt(-1));
            }
        }
        leading.addAll(0, before);
    }

    /** One that puts a BOS in front or an EOS behind; null in JSON where it does neither. */
    static JsonNode json(String bos, int bosId, String eos, int eosId) {
        if (bosId < 0 && eosId < 0) {
            return JSON.nullNode();
        }
        ObjectNode template = JSON.objectNode().put("type", "TemplateProcessing");
        for (String form : List.of("single", "pair")) {
            ArrayNode parts = template.putArray(form);
            for (String sequence : form.equals("single") ? List.of("A") : List.of("A", "B")) {
                int type = sequence.equals("A") ? 0 : 1;
                if (bosId >= 0) {
                    parts.addObject().putObject("SpecialToken").put("id", bos).put("type_id", type);
                }
                parts.addObject().putObject("Sequence").put("id", sequence).put("type_id", type);
                if (eosId >= 0) {
                    parts.addObject().putObject("SpecialToken").put("id", eos).put("type_id", type);
                }
            }
        }
        ObjectNode tokens = template.putObject("special_tokens");
        if (bosId >= 0) {
            put(tokens, bos, bosId);
        }
        if (eosId >= 0) {
            put(tokens, eos, eosId);
        }
        return template;
    }

    private static void put(ObjectNode tokens, String text, int id) {
        ObjectNode token = tokens.putObject(text).put("id", text);
        token.putArray("ids").add(id);
        token.putArray("tokens").add(text);
    }
}
