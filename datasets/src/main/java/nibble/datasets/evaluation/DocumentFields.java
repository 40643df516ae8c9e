package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.datasets.evaluation.EvaluationDocument.BlankSentence;
import nibble.datasets.evaluation.EvaluationDocument.LastWord;
import nibble.datasets.evaluation.EvaluationDocument.MathProblem;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.datasets.evaluation.EvaluationDocument.Page;
import nibble.datasets.evaluation.EvaluationDocument.TruthfulQuestion;

/**
 * A row of a data set, read strictly: what is missing or of another kind is an error that names file, line and field.
 *
 * @param at file and line, for messages
 */
record DocumentFields(JsonNode row, String at) {
    static EvaluationDocument document(EvaluationSet.Rows kind, DocumentFields fields) {
        return switch (kind) {
            case ARC -> fields.arc();
            case HELLASWAG -> fields.hellaswag();
            case MMLU -> fields.mmlu();
            case TRUTHFULQA -> fields.truthfulqa();
            case WINOGRANDE -> fields.winogrande();
            case PIQA -> fields.piqa();
            case OPENBOOKQA -> fields.openbookqa();
            case LAMBADA -> fields.lambada();
            case GSM8K -> new MathProblem(fields.text("question"), fields.text("answer"));
            case WIKITEXT -> new Page(fields.text("page"));
        };
    }

    private EvaluationDocument arc() {
        return row.has("answerKey")
                ? choice(
                        "",
                        text("question"),
                        child("choices").texts("text"),
                        child("choices").number("label", text("answerKey")))
                : choice("", text("question"), texts("choices"), gold());
    }

    private EvaluationDocument openbookqa() {
        return row.has("answerKey")
                ? choice(
                        "",
                        text("question_stem"),
                        child("choices").texts("text"),
                        child("choices").number("label", PythonText.strip(text("answerKey"))))
                : choice("", text("query"), texts("choices"), gold());
    }

    private EvaluationDocument hellaswag() {
        if (row.has("query")) {
            return choice("", text("query"), texts("choices"), gold());
        }
        List<String> endings =
                texts("endings").stream().map(HellaSwagText::clean).toList();
        String query = HellaSwagText.query(text("activity_label"), text("ctx_a"), text("ctx_b"));
        return choice("", query, endings, integer("label"));
    }

    private EvaluationDocument mmlu() {
        return choice(
                text("subject"), text("question"), texts("choices"), row.has("gold") ? gold() : integer("answer"));
    }

    private EvaluationDocument piqa() {
        return row.has("sol1")
                ? choice("", text("goal"), List.of(text("sol1"), text("sol2")), integer("label"))
                : choice("", text("goal"), texts("choices"), gold());
    }

    private EvaluationDocument truthfulqa() {
        boolean hub = row.has("mc1_targets");
        List<String> single = hub ? child("mc1_targets").texts("choices") : texts("mc1_choices");
        List<String> many = hub ? child("mc2_targets").texts("choices") : texts("mc2_choices");
        List<Boolean> isTrue = new ArrayList<>();
        for (JsonNode label : hub ? child("mc2_targets").array("labels") : array("mc2_labels")) {
            isTrue.add(label.asInt() == 1);
        }
        if (isTrue.size() != many.size() || !isTrue.contains(true) || !isTrue.contains(false)) {
            throw new BadDatasetException(at + ": " + many.size() + " answers with " + isTrue.size()
                    + " labels; expected a label each, some 1 and some 0");
        }
        return new TruthfulQuestion(text("question"), single, many, isTrue);
    }

    private EvaluationDocument winogrande() {
        String sentence = text("sentence");
        if (sentence.indexOf('_') < 0) {
            throw new BadDatasetException(at + ": no underscore in the sentence");
        }
        int gold = row.has("gold") ? gold() : integer("answer") - 1;
        if (gold < 0 || gold > 1) {
            throw new BadDatasetException(at + ": the right option is number " + (gold + 1) + ", 1 or 2 expected");
        }
        return new BlankSentence(sentence, text("option1"), text("option2"), gold);
    }

    private EvaluationDocument lambada() {
        if (row.has("continuation")) {
            return new LastWord(text("context"), text("continuation"));
        }
        String text = text("text");
        int space = text.lastIndexOf(' ');
        if (space < 0) {
            throw new BadDatasetException(at + ": a passage of one word");
        }
        return new LastWord(text.substring(0, space), text.substring(space + 1));
    }

    private MultipleChoice choice(String subject, String question, List<String> choices, int gold) {
        if (choices.size() < 2 || gold < 0 || gold >= choices.size()) {
            throw new BadDatasetException(
                    at + ": right choice number " + gold + " (from 0) of " + choices.size() + "; damaged file?");
        }
        return new MultipleChoice(subject, question, choices, gold);
    }

    private int gold() {
        return integer("gold");
    }

    private JsonNode field(String name) {
        JsonNode value = row.get(name);
        if (value == null || value.isNull()) {
            List<String> found = new ArrayList<>();
            row.fieldNames().forEachRemaining(found::add);
            throw new BadDatasetException(at + ": no field \"" + name + "\", found " + found);
        }
        return value;
    }

    private DocumentFields child(String name) {
        return new DocumentFields(field(name), at + ", " + name);
    }

    private String text(String name) {
        JsonNode value = field(name);
        if (!value.isTextual()) {
            throw new BadDatasetException(
                    at + ": field \"" + name + "\" is " + value.getNodeType() + ", a text expected");
        }
        return value.textValue();
    }

    private JsonNode array(String name) {
        JsonNode value = field(name);
        if (!value.isArray()) {
            throw new BadDatasetException(
                    at + ": field \"" + name + "\" is " + value.getNodeType() + ", a list expected");
        }
        return value;
    }

    private List<String> texts(String name) {
        List<String> texts = new ArrayList<>();
        for (JsonNode value : array(name)) {
            if (!value.isTextual()) {
                throw new BadDatasetException(
                        at + ": list \"" + name + "\" holds " + value.getNodeType() + ", texts expected");
            }
            texts.add(value.textValue());
        }
        return texts;
    }

    /** A number, or a text that is one, as labels are in some data sets. */
    private int integer(String name) {
        JsonNode value = field(name);
        try {
            return value.isTextual()
                    ? Integer.parseInt(value.textValue())
                    : value.isInt() || value.isLong() ? value.intValue() : fail(name, value);
        } catch (NumberFormatException e) {
            return fail(name, value);
        }
    }

    private int fail(String name, JsonNode value) {
        throw new BadDatasetException(at + ": field \"" + name + "\" is " + value + ", a whole number expected");
    }

    /** The place of {@code wanted} in a list of texts. */
    private int number(String name, String wanted) {
        int number = texts(name).indexOf(wanted);
        if (number < 0) {
            throw new BadDatasetException(at + ": \"" + wanted + "\" is none of " + texts(name));
        }
        return number;
    }
}
