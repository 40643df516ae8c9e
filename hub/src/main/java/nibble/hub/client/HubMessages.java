package nibble.hub.client;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.files.Reasons;

/**
 * Words what is said of requests that failed: which request, what the answer was, what to do; never a token, a
 * signature, a password.
 */
public final class HubMessages {
    private static final int SHOWN_CHARACTERS = 400;
    private static final int READ_BYTES = 4096;

    /** The query of an address may be a signature, what stands before its host a password. */
    private static final Pattern QUERY = Pattern.compile("(https?://[^\\s\"'<>?]*)\\?[^\\s\"'<>)]*");

    private static final Pattern USER = Pattern.compile("(https?://)[^\\s\"'<>/?@]*@");

    /** Paths about one repository. */
    private static final Pattern REPOSITORY = Pattern.compile("/(?:api/models/)?([^/]+/[^/]+?)(?:\\.git)?(?:/.*)?");

    private final HubSettings settings;
    private final List<HubToken> secrets = new CopyOnWriteArrayList<>();

    HubMessages(HubSettings settings) {
        this.settings = settings;
        settings.token().ifPresent(secrets::add);
    }

    /** Keeps another token out of messages. */
    void hide(HubToken token) {
        secrets.add(token);
    }

    /** {@code text} without secrets. */
    String masked(String text) {
        String masked = QUERY.matcher(USER.matcher(text).replaceAll("$1")).replaceAll("$1");
        for (HubToken secret : secrets) {
            masked = secret.removedFrom(masked);
        }
        return masked;
    }

    static String describe(HubCall call) {
        return call.method() + " " + shown(call.uri());
    }

    /** An address without what may be a secret but the token. */
    static String shown(URI uri) {
        String text = uri.toString();
        return QUERY.matcher(USER.matcher(text).replaceAll("$1")).replaceAll("$1");
    }

    /** Something about a request that no status says. */
    HubException failure(HubCall call, String what) {
        return new HubException(masked(describe(call) + ": " + what));
    }

    /** A request that no answer came to. */
    HubException noAnswer(HubCall call, int tries, IOException e) {
        Optional<URI> proxy = settings.surroundings().proxies().proxy(call.uri());
        String way = proxy.map(p -> " by way of the proxy " + shown(p)).orElse("");
        return new HubException(
                masked(describe(call) + ": no answer" + way + " (" + reason(e) + ")"
                        + (tries > 1 ? " in " + tries + " tries" : "")
                        + "; check the network" + (proxy.isPresent() ? " and the proxy's variables" : "")
                        + " and run again"),
                HubException.NO_ANSWER,
                "",
                null);
    }

    /** Says why there is no connection. */
    public static String reason(IOException e) {
        return switch (e) {
            case IOException _ when Reasons.isUnknownHost(e) -> Reasons.of(e);
            case HttpConnectTimeoutException _ -> "no connection in time";
            case HttpTimeoutException _ -> "no answer in time";
            case ConnectException _ -> "connection refused";
            case EOFException _ -> "the connection was closed";
            default ->
                e.getMessage() == null || e.getMessage().contains("header parser received no bytes")
                        ? "the connection was closed"
                        : Reasons.of(e);
        };
    }

    /** The JSON of an answer. */
    JsonNode parse(HubCall call, byte[] body) {
        try {
            return HubHttp.JSON.readTree(body);
        } catch (IOException e) {
            String detail = new String(body, 0, Math.min(body.length, 64), StandardCharsets.UTF_8).strip();
            boolean page = detail.startsWith("<");
            throw failure(
                    call,
                    "the answer is " + (page ? "a web page" : "not JSON") + "; is " + settings.endpoint()
                            + " a model hub? Check HF_ENDPOINT"
                            + (page ? " and whether the network asks for a login" : ""));
        }
    }

    /** An answer of status 400 or more. */
    HubException refused(HubCall call, HttpResponse<?> response, boolean known) {
        int status = response.statusCode();
        HttpHeaders headers = response.headers();
        String code = headers.firstValue("x-error-code").orElse("");
        URI asked = response.uri();
        boolean elsewhere = !HubHttp.sameOrigin(asked, settings.endpoint());
        StringBuilder message = new StringBuilder(describe(call));
        if (!asked.equals(call.uri())) {
            message.append(", redirected to ").append(shown(asked));
        }
        message.append(": HTTP ").append(status);
        String text = headers.firstValue("x-error-message").orElseGet(() -> errorText(response.body()));
        if (!text.isEmpty()) {
            message.append(", \"")
                    .append(text.length() > SHOWN_CHARACTERS ? text.substring(0, SHOWN_CHARACTERS) + "…" : text)
                    .append('"');
        }
        if (!code.isEmpty()) {
            message.append(", code ").append(code);
        }
        headers.firstValue("x-request-id")
                .ifPresent(id -> message.append(", request ").append(id));
        message.append(elsewhere ? storeAdvice(status) : advice(call, status, code, known));
        return new HubException(masked(message.toString()), status, code, elsewhere || !asked.equals(call.uri()), null);
    }

    private static String storeAdvice(int status) {
        return status >= 500
                ? "; the object store has a problem, run again later"
                : "; the object store refuses the address, run again";
    }

    private String advice(HubCall call, int status, String code, boolean known) {
        String page = page(call);
        switch (code) {
            case "GatedRepo" -> {
                return "; the repository is gated: "
                        + (known && status != 401
                                ? "ask for access on " + page + " with the account of this token, then run again"
                                : "accept its terms on " + page + ", then put a token of that account into HF_TOKEN");
            }
            case "RepoNotFound" -> {
                return "; there is no such repository"
                        + (known
                                ? ", or this token's account may not see it: check the name"
                                : " that is public: check the name, or put a token into HF_TOKEN if it is private");
            }
            case "RevisionNotFound" -> {
                return "; the repository has no such branch, tag or commit: see " + page;
            }
            case "EntryNotFound" -> {
                return "; the repository has no such file: see " + page;
            }
            default -> {
                return statusAdvice(status, known);
            }
        }
    }

    private String statusAdvice(int status, boolean known) {
        return switch (status) {
            case 401 ->
                known
                        ? "; the hub does not take this token" + expired()
                                + ": make one, with write access to publish, and put it into HF_TOKEN; public"
                                + " repositories need none"
                        : "; the hub asks who you are: put a token into HF_TOKEN, or check the name";
            case 403 -> "; this token may not do that: make one with write access to this owner";
            case 404 -> "; check the names" + (known ? "" : ", or put a token into HF_TOKEN if it is private");
            case 407 -> "; the proxy asks who you are: write NAME:PASSWORD@ before its host in its variable";
            case 429 -> "; too many requests, try later";
            default -> status >= 500 ? "; the hub has a problem, run again later" : "";
        };
    }

    private String expired() {
        return settings.token()
                .flatMap(token -> settings.surroundings().login().flatMap(login -> login.expiry(token)))
                .map(at -> " (the login expires at " + at + ": log in again with 'hf auth login')")
                .orElse("");
    }

    private String page(HubCall call) {
        String path = String.valueOf(call.uri().getPath());
        String base = String.valueOf(settings.endpoint().getPath());
        Matcher name = REPOSITORY.matcher(path.startsWith(base) ? path.substring(base.length()) : path);
        return name.matches()
                ? settings.endpoint() + "/" + name.group(1)
                : settings.endpoint().toString();
    }

    private static String errorText(Object body) {
        byte[] bytes;
        try {
            bytes = body instanceof InputStream stream
                    ? stream.readNBytes(READ_BYTES)
                    : body instanceof byte[] all ? all : new byte[0];
        } catch (IOException e) {
            return "";
        }
        String text = new String(bytes, 0, Math.min(bytes.length, READ_BYTES), StandardCharsets.UTF_8).strip();
        try {
            JsonNode json = HubHttp.JSON.readTree(text);
            List<String> several = new ArrayList<>();
            json.path("errors")
                    .forEach(error -> several.add(error.path("message").asText("")));
            String shown = several.isEmpty()
                    ? json.path("error").asText(json.path("message").asText(""))
                    : String.join("; ", several);
            String more = json.path("error_description").asText("");
            return shown.isEmpty() ? text : more.isEmpty() ? shown : shown + ": " + more;
        } catch (JsonProcessingException e) {
            return text.startsWith("<") ? "" : text.replaceAll("\\s+", " ");
        }
    }
}
