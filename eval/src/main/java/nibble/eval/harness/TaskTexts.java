package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import nibble.datasets.BadDatasetException;
import nibble.eval.harness.functions.PythonLiteral;
import nibble.jinja.Template;
import nibble.jinja.syntax.JinjaException;
import org.jspecify.annotations.Nullable;

/**
 * Makes the texts of a document: values of columns, or templates over them. A text of digits stands for the number of a
 * choice, one in brackets for several answers.
 *
 * @param task whose file names them
 * @param columns of the documents
 */
record TaskTexts(TaskConfig task, List<String> columns) {
    private static final Map<String, Template> TEMPLATES = new ConcurrentHashMap<>();

    /** What is shown of a document: a text, or the number (Long) of the right choice where texts are the choices. */
    Object text(Map<String, @Nullable Object> document, @Nullable Object rule) {
        return value("doc_to_text", document, rule, false);
    }

    /** What is right: a text, the number (Long) of a choice, or a list of either. */
    Object target(Map<String, @Nullable Object> document, @Nullable Object rule) {
        return rule instanceof List<?> ? rule : value("doc_to_target", document, rule, true);
    }

    private Object value(String key, Map<String, @Nullable Object> document, @Nullable Object rule, boolean lists) {
        switch (rule) {
            case null -> throw new BadDatasetException(task.place() + ": " + key + " is missing");
            case Long number -> {
                return number;
            }
            case FunctionName function -> {
                return PythonFunctions.ofDocument(function).apply(document);
            }
            default -> {}
        }
        String source = rule.toString();
        if (columns.contains(source)) {
            Object value = document.get(source);
            if (value == null) {
                throw new BadDatasetException(task.name() + ": " + key + ": a document has no " + source);
            }
            return value;
        }
        String made = render(key, source, document);
        if (isDigits(made) && task.values().get("doc_to_choice") != null) {
            return Long.parseLong(made);
        }
        if (lists && made.length() >= 2 && made.startsWith("[") && made.endsWith("]")) {
            try {
                Object list = PythonLiteral.of(made);
                return list == null ? made : list;
            } catch (IllegalArgumentException e) {
                return made;
            }
        }
        return made;
    }

    private static boolean isDigits(String text) {
        return !text.isEmpty() && text.length() < 19 && text.chars().allMatch(Character::isDigit);
    }

    /** The choices of a document. */
    List<String> choices(Map<String, @Nullable Object> document, @Nullable Object rule) {
        Object found = switch (rule) {
            case null -> throw new BadDatasetException(task.place() + ": doc_to_choice is missing");
            case List<?> list -> list;
            case Map<?, ?> map -> new ArrayList<>(map.values());
            case FunctionName function -> PythonFunctions.ofDocument(function).apply(document);
            default -> {
                String source = rule.toString();
                yield columns.contains(source) ? document.get(source) : literal(source, document);
            }
        };
        if (!(found instanceof List<?> list)) {
            throw new BadDatasetException(task.name() + ": doc_to_choice: " + found + " is no list");
        }
        List<String> choices = new ArrayList<>();
        for (Object one : list) {
            if (!(one instanceof String choice)) {
                throw new BadDatasetException(
                        task.name() + ": doc_to_choice: " + one + " is no text; put it in quotes in the file");
            }
            choices.add(choice);
        }
        return choices;
    }

    /** A choice by its number, which counts from the end below 0, as in Python. */
    static String choice(List<String> choices, long number) {
        long index = number < 0 ? number + choices.size() : number;
        if (index < 0 || index >= choices.size()) {
            throw new BadDatasetException("choice " + number + " of " + choices.size() + "; damaged data?");
        }
        return choices.get((int) index);
    }

    private @Nullable Object literal(String source, Map<String, @Nullable Object> document) {
        String made = render("doc_to_choice", source, document);
        try {
            return PythonLiteral.of(made);
        } catch (IllegalArgumentException e) {
            throw new BadDatasetException(task.name() + ": doc_to_choice: " + e.getMessage(), e);
        }
    }

    /** A column's value, or else a rendered template; empty for no rule. */
    String field(String key, Map<String, @Nullable Object> document, @Nullable Object rule) {
        if (rule == null || rule.toString().isEmpty()) {
            return "";
        }
        if (rule instanceof FunctionName function) {
            throw function.unknown("as the value of " + key);
        }
        Object value = document.get(rule.toString());
        return document.containsKey(rule.toString()) ? String.valueOf(value) : render(key, rule.toString(), document);
    }

    private String render(String key, String source, Map<String, @Nullable Object> document) {
        if (source.indexOf('{') < 0) {
            return source;
        }
        try {
            return TEMPLATES.computeIfAbsent(source, Template::task).render(document, java.time.ZonedDateTime::now);
        } catch (JinjaException e) {
            throw new BadDatasetException(task.place() + ": " + key + ": " + e.getMessage(), e);
        }
    }
}
