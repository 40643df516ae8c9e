package nibble.hub.client;

import java.util.regex.Pattern;

/**
 * Holds the name of a model repository, {@code organization/name}.
 *
 * @param owner a user or an organization
 * @param name the repository's own name
 */
public record RepoName(String owner, String name) {
    private static final Pattern PART = Pattern.compile("[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?");

    public RepoName {
        if (!isPart(owner) || !isPart(name)) {
            throw new IllegalArgumentException(
                    "\"" + owner + "/" + name + "\" is not a repository name; write ORG/NAME of letters,"
                            + " digits, '-', '_' and '.', at most 96 each");
        }
    }

    /**
     * Parses a name.
     *
     * @throws IllegalArgumentException if it is not of the form ORG/NAME
     */
    public static RepoName parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0) {
            throw new IllegalArgumentException("\"" + text + "\" is not a repository name; write ORG/NAME");
        }
        return new RepoName(text.substring(0, slash), text.substring(slash + 1));
    }

    /** Returns whether {@code text} has the form ORG/NAME. */
    public static boolean isName(String text) {
        int slash = text.indexOf('/');
        return slash > 0 && isPart(text.substring(0, slash)) && isPart(text.substring(slash + 1));
    }

    private static boolean isPart(String text) {
        return PART.matcher(text).matches() && !text.contains("..") && !text.contains("--") && !text.endsWith(".git");
    }

    @Override
    public String toString() {
        return owner + "/" + name;
    }
}
