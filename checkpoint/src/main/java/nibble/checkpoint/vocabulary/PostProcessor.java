package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

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

    /**
     * Whether it puts a separator between the texts of a pair, as llama.cpp's converter finds it out.
     *
     * @param separator text of that token, empty for none
     * @param eos text of the token that ends a text, which may separate too
     * @return nothing where nothing stands between them
     */
    static Optional<Boolean> separates(JsonNode processor, String separator, String eos) {
        JsonNode parts = processor.path("processors");
        Optional<Boolean> found = Optional.empty();
        for (JsonNode part : parts.isArray() ? parts : List.of(processor)) {
            String type = part.path("type").asText();
            if (type.equals("RobertaProcessing")) {
                found = Optional.of(true);
            } else if (type.equals("TemplateProcessing")) {
                Optional<Boolean> between = separates(special(part, "single"), special(part, "pair"), separator, eos);
                found = between.isPresent() ? between : found;
            }
        }
        return found;
    }

    /** Texts of a template's special tokens, empty ones for its sequences. */
    private static List<String> special(JsonNode template, String form) {
        List<String> texts = new ArrayList<>();
        template.path(form)
                .forEach(part -> texts.add(part.at("/SpecialToken/id").asText("")));
        return texts;
    }

    private static Optional<Boolean> separates(List<String> single, List<String> pair, String separator, String eos) {
        String first = single.size() > 1 ? single.getFirst() : "";
        String last = single.size() > 1 ? single.getLast() : "";
        int from = !pair.isEmpty() && !first.isEmpty() && pair.getFirst().equals(first) ? 1 : 0;
        int to = pair.size()
                - (!pair.isEmpty() && !last.isEmpty() && pair.getLast().equals(last) ? 1 : 0);
        // What is left begins with the one text and ends with the other.
        if (to - from < 3 || !pair.get(from).isEmpty() || !pair.get(to - 1).isEmpty()) {
            return Optional.empty();
        }
        List<String> between = pair.subList(from + 1, to - 1);
        return Optional.of(separates(between.getFirst(), separator, eos) && last.isEmpty()
                || between.size() == 2 && separates(between.getLast(), separator, eos));
    }

    private static boolean separates(String text, String separator, String eos) {
        return !text.isEmpty() && (text.equals(separator) || text.equals(eos));
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
