package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/** Puts a document's context together: the description, the examples with their answers, then the question. */
final class Contexts {
    /**
     * A part of a context.
     *
     * @param role system, user or assistant
     * @param delimiter follows the part in a plain text
     */
    record Message(String role, String content, String delimiter) {}

    private final TaskConfig task;
    private final TaskTexts texts;
    private final boolean textsAreChoices;
    private final String system;

    /** @param textsAreChoices whether each choice makes a context of its own, before one common end */
    Contexts(TaskConfig task, TaskTexts texts, boolean textsAreChoices, String system) {
        this.task = task;
        this.texts = texts;
        this.textsAreChoices = textsAreChoices;
        this.system = system;
    }

    /** One context, or one for each choice. */
    List<List<Message>> of(Map<String, @Nullable Object> document, List<Map<String, @Nullable Object>> examples) {
        List<Message> before = new ArrayList<>();
        String description = texts.field("description", document, task.values().get("description"));
        String first = joined(system, description, task.fewshotDelimiter());
        if (!first.isEmpty()) {
            before.add(new Message("system", first, ""));
        }
        for (Map<String, @Nullable Object> example : examples) {
            before.addAll(example(example));
        }
        String prefix = texts.field("gen_prefix", document, task.values().get("gen_prefix"));
        List<List<Message>> contexts = new ArrayList<>();
        if (textsAreChoices) {
            for (String choice : texts.choices(document, task.values().get("doc_to_choice"))) {
                contexts.add(with(before, question(choice, prefix, "")));
            }
            return contexts;
        }
        String question = question(texts.text(document, task.values().get("doc_to_text")), "doc_to_text");
        contexts.add(with(before, question(question, prefix, task.targetDelimiter())));
        return contexts;
    }

    private static List<Message> with(List<Message> before, List<Message> more) {
        List<Message> all = new ArrayList<>(before);
        all.addAll(more);
        return all;
    }

    private List<Message> question(String question, String prefix, String delimiter) {
        List<Message> messages = new ArrayList<>();
        messages.add(new Message("user", question, !prefix.isEmpty() && apart(question, prefix) ? delimiter : ""));
        if (!prefix.isEmpty()) {
            messages.add(new Message("assistant", prefix, ""));
        }
        return messages;
    }

    private List<Message> example(Map<String, @Nullable Object> example) {
        Object text = texts.text(example, task.ofExamples("doc_to_text"));
        Object choiceRule = task.ofExamples("doc_to_choice");
        List<String> choices = choiceRule == null ? List.of() : texts.choices(example, choiceRule);
        Object target = texts.target(example, task.ofExamples("doc_to_target"));
        String question;
        if (textsAreChoices && text instanceof Long number) {
            question = choice(choices, number);
            choices = List.of();
        } else {
            question = question(text, "doc_to_text");
        }
        String answer = answer(target, choices);
        String prefix = texts.field("gen_prefix", example, task.ofExamples("gen_prefix"));
        String delimiter = ofExamples("target_delimiter", task.targetDelimiter());
        boolean answered = !answer.isEmpty();
        boolean apart = answered && prefix.isEmpty() || !prefix.isEmpty() && apart(question, prefix);
        List<Message> messages = new ArrayList<>();
        messages.add(new Message("user", question, apart ? delimiter : ""));
        if (answered) {
            messages.add(new Message(
                    "assistant",
                    joined(prefix, answer, " "),
                    ofExamples("fewshot_delimiter", task.fewshotDelimiter())));
        } else if (!prefix.isEmpty()) {
            messages.add(new Message("assistant", prefix, ""));
        }
        return messages;
    }

    private String ofExamples(String key, String otherwise) {
        Object own = task.map("fewshot_config").get(key);
        return own == null ? otherwise : own.toString();
    }

    private String question(Object text, String key) {
        if (text instanceof String question) {
            return question;
        }
        throw new BadDatasetException(task.name() + ": " + key + ": " + text + " is no text");
    }

    private String answer(Object target, List<String> choices) {
        Object one = target instanceof List<?> several && !several.isEmpty() ? several.getFirst() : target;
        if (target instanceof Long number && !choices.isEmpty()) {
            return choice(choices, number);
        }
        return question(one, "doc_to_target");
    }

    private String choice(List<String> choices, long number) {
        try {
            return TaskTexts.choice(choices, number);
        } catch (BadDatasetException e) {
            throw new BadDatasetException(task.name() + ", an example: " + e.getMessage(), e);
        }
    }

    /** Whether the answer to a document has begun already. */
    boolean goesOn(Map<String, @Nullable Object> document) {
        return !texts.field("gen_prefix", document, task.values().get("gen_prefix"))
                .isEmpty();
    }

    /** Whether neither side brings white space to the place where they meet. */
    static boolean apart(String before, String after) {
        return !before.isEmpty()
                && !PythonText.isSpace(before.charAt(before.length() - 1))
                && !PythonText.isSpace(after.charAt(0));
    }

    /** Two texts with a delimiter where they would touch; an absent one leaves the other. */
    static String joined(String first, String second, String delimiter) {
        return first.isEmpty() || second.isEmpty()
                ? first + second
                : first + (apart(first, second) ? delimiter : "") + second;
    }
}
