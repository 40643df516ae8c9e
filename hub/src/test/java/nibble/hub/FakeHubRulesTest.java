package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;
import nibble.hub.client.HubHttp;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Requests that a hub refuses, and what it answers. The table is that of an independent stand-in, written from
 * huggingface_hub's source and the LFS batch API: with {@code -Dnibble.strict.hub=URL} (and
 * {@code nibble.strict.write}, {@code .read} and {@code .other}, its tokens) the same requests go to it. Both gave
 * these answers on 2026-11-25.
 */
class FakeHubRulesTest {
    /**
     * Of the hub's client, which comes first so: what it sets for proxies, Java reads once, at its first
     * {@link HttpClient}.
     */
    private static final ObjectMapper JSON = HubHttp.JSON;

    private static final String API = "application/json";
    private static final String LFS = "application/vnd.git-lfs+json";
    private static final String STRICT = System.getProperty("nibble.strict.hub", "");
    private static final String REPO = "me/strict-" + Long.toString(System.nanoTime(), 36);
    private static final int OBJECT_BYTES = 2_500_000;

    @SuppressWarnings("NullAway.Init")
    private static FakeHub fake;

    @SuppressWarnings("NullAway.Init")
    private static HttpClient client;

    private static String head = "";
    private static String small = "";
    private static String complete = "";
    private static String part = "";
    private static String whole = "";
    private static String known = "";

    @BeforeAll
    static void begin() throws Exception {
        client = HttpClient.newHttpClient();
        fake = new FakeHub();
        fake.partBytes = 2_000_000;
        String name = REPO.substring(3);
        assertThat(send("w", "POST", "/api/repos/create", API, "", "{\"name\":\"" + name + "\"}")
                        .statusCode())
                .isEqualTo(200);
        send("w", "POST", "/api/repos/create", API, "", "{\"name\":\"" + name + "-p\",\"visibility\":\"private\"}");
        head = JSON.readTree(send("w", "GET", "/api/models/" + REPO + "/revision/main", "", "", "")
                        .body())
                .get("sha")
                .asText();
        known = FakeRepository.hex("SHA-256", "known".getBytes());
        URI put = URI.create(upload(known, 5).path("href").asText());
        client.send(
                HttpRequest.newBuilder(put)
                        .PUT(BodyPublishers.ofString("known"))
                        .build(),
                BodyHandlers.ofString());
        small = upload("a".repeat(64), 3).path("href").asText();
        whole = small.replace("a".repeat(64), "b".repeat(64));
        JsonNode parts = upload("c".repeat(64), OBJECT_BYTES);
        complete = parts.path("href").asText();
        part = parts.path("header").properties().stream()
                .filter(entry -> entry.getKey().matches("0*1"))
                .findFirst()
                .orElseThrow()
                .getValue()
                .asText();
        for (Map.Entry<String, JsonNode> one : parts.path("header").properties()) {
            if (one.getKey().matches("\\d+")) {
                int bytes = one.getKey().matches("0*1") ? 2_000_000 : OBJECT_BYTES - 2_000_000;
                HttpRequest request = HttpRequest.newBuilder(
                                URI.create(one.getValue().asText()))
                        .PUT(BodyPublishers.ofByteArray(new byte[bytes]))
                        .build();
                assertThat(client.send(request, BodyHandlers.ofString()).statusCode())
                        .isEqualTo(200);
            }
        }
    }

    @AfterAll
    static void end() {
        client.close();
        fake.close();
    }

    private static JsonNode upload(String oid, long size) throws Exception {
        String body = "{\"operation\":\"upload\",\"transfers\":[\"basic\",\"multipart\"],\"hash_algo\":\"sha256\","
                + "\"objects\":[{\"oid\":\"" + oid + "\",\"size\":" + size + "}]}";
        HttpResponse<String> answer = send("w", "POST", "/" + REPO + ".git/info/lfs/objects/batch", LFS, LFS, body);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return JSON.readTree(answer.body()).at("/objects/0/actions/upload");
    }

    private static String token(String who) {
        boolean strict = !STRICT.isEmpty();
        return switch (who) {
            case "w" -> strict ? System.getProperty("nibble.strict.write") : FakeHub.TOKEN;
            case "r" -> strict ? System.getProperty("nibble.strict.read") : FakeHub.READ_TOKEN;
            case "o" -> strict ? System.getProperty("nibble.strict.other") : FakeHub.OTHER_TOKEN;
            default -> "hf_nobody";
        };
    }

    private static HttpResponse<String> send(
            String who, String method, String path, String type, String accept, String body) throws Exception {
        String address = path.startsWith("http") ? path : (STRICT.isEmpty() ? fake.endpoint() : STRICT) + path;
        BodyPublisher content = body.equals("CHUNKED")
                ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[3]))
                : body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body);
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(address)).method(method, content);
        if (!who.equals("-")) {
            request.header("Authorization", "Bearer " + token(who));
        }
        if (!type.isEmpty()) {
            request.header("Content-Type", type);
        }
        if (!accept.isEmpty()) {
            request.header("Accept", accept);
        }
        return client.send(request.build(), BodyHandlers.ofString());
    }

    private static String filled(String text) {
        return text.replace("HEAD", head)
                .replace("KNOWN", known)
                .replace("ZEROS", "0".repeat(40))
                .replace("EIGHTS", "8".repeat(64))
                .replace("NUL", "AGEA")
                .replace("REPO", REPO);
    }

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(
            delimiter = '~',
            value = {
                "w ~ POST ~ {'name':'a b'} ~ 400",
                "w ~ POST ~ {} ~ 400",
                "w ~ POST ~ [] ~ 400",
                "w ~ POST ~ {'name' ~ 400",
                "w ~ POST ~ {'name':'x','colour':1} ~ 400",
                "w ~ POST ~ {'name':'x','type':'dataset'} ~ 400",
                "w ~ POST ~ {'name':'x','visibility':'secret'} ~ 400",
                "w ~ POST ~ {'name':'x','organization':'strangers'} ~ 403",
                "r ~ POST ~ {'name':'x'} ~ 403",
                "- ~ POST ~ {'name':'x'} ~ 401",
                "n ~ POST ~ {'name':'x'} ~ 401",
                "w ~ GET ~ '' ~ 404",
                "w ~ POST ~ TWICE ~ 409"
            })
    void repositories_are_made_by_their_owners(String who, String method, String body, int status) throws Exception {
        String asked = body.equals("TWICE") ? "{\"name\":\"" + REPO.substring(3) + "\"}" : body.replace('\'', '"');
        assertThat(send(who, method, "/api/repos/create", API, "", asked).statusCode())
                .isEqualTo(status);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            value = {
                "{} ~ 400",
                "{'content':'---\\nlicense: nope\\n---\\n'} ~ 400",
                "{'content':'---\\na: [\\n---\\n'} ~ 400",
                "{'content':'---\\nlicense: mit # fine\\n---\\n','repoType':'model'} ~ 200",
                "{'content':'# x'} ~ 200",
                "{'content':'','x':1} ~ 400"
            })
    void cards_are_checked(String body, int status) throws Exception {
        assertThat(send("w", "POST", "/api/validate-yaml", API, "", body.replace('\'', '"'))
                        .statusCode())
                .isEqualTo(status);
        assertThat(send("w", "POST", "/api/validate-yaml", "text/plain", "", "{}")
                        .statusCode())
                .isEqualTo(415);
    }

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(
            delimiter = '~',
            value = {
                "w ~ branch/main ~ {} ~ 409",
                "w ~ branch/.x ~ {} ~ 400",
                "w ~ branch/x ~ {'startingPoint':'nowhere'} ~ 404",
                "w ~ branch/x ~ {'colour':1} ~ 400",
                "o ~ branch/x ~ {} ~ 403",
                "r ~ branch/x ~ {} ~ 403",
                "- ~ branch/x ~ {} ~ 401",
                "w ~ preupload/main ~ {} ~ 400",
                "w ~ preupload/main ~ {'files':[{'path':'a','size':3}]} ~ 400",
                "w ~ preupload/main ~ {'files':[{'path':'a','size':3,'sample':'YQ=='}]} ~ 400",
                "w ~ preupload/main ~ {'files':[{'path':'a','size':1,'sample':'YQ==','x':1}]} ~ 400",
                "w ~ preupload/main ~ {'files':[{'path':'a','size':1,'sample':'YQ=='}]} ~ 200",
                "w ~ preupload/nowhere ~ {'files':[]} ~ 404",
                "o ~ preupload/main ~ {'files':[]} ~ 403",
                "o ~ preupload/main?create_pr=1 ~ {'files':[]} ~ 200",
                "r ~ preupload/main?create_pr=1 ~ {'files':[]} ~ 403",
                "- ~ preupload/main?create_pr=1 ~ {'files':[]} ~ 401",
                "w ~ revision/main ~ {} ~ 405",
                "w ~ nothing/main ~ {} ~ 404"
            })
    void branches_and_files_to_come_have_their_forms(String who, String path, String body, int status)
            throws Exception {
        assertThat(send(who, "POST", "/api/models/" + REPO + "/" + path, API, "", body.replace('\'', '"'))
                        .statusCode())
                .isEqualTo(status);
    }

    private static final String TITLE = "{'key':'header','value':{'summary':'s'}}|";

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(
            delimiter = '~',
            value = {
                "w ~ main ~ {'key':'file','value':{'path':'a','content':'YQ==','encoding':'base64'}} ~ 400",
                "w ~ main ~ {'key':'header','value':{'summary':''}} ~ 400",
                "w ~ main ~ {'key':'header','value':{}} ~ 400",
                "w ~ main ~ {'key':'header','value':{'summary':'s','x':1}} ~ 400",
                "w ~ main ~ {'key':'header','value':{'summary':'s','parentCommit':'abc'}} ~ 400",
                "w ~ main ~ {'key':'header','value':{'summary':'s','parentCommit':'ZEROS'}} ~ 412",
                "w ~ main ~ TITLE{'key':'header','value':{'summary':'s'}} ~ 400",
                "w ~ main ~ TITLE{'key':'file','value':{'path':'a','content':'YQ=='}} ~ 400",
                "w ~ main ~ TITLE{'key':'file','value':{'path':'a','content':'YQ==','encoding':'utf-8'}} ~ 400",
                "w ~ main ~ TITLE{'key':'file','value':{'path':'a','content':'NUL','encoding':'base64'}} ~ 400",
                // A README whose license is "nope".
                "w ~ main ~"
                    + " TITLE{'key':'file','value':{'path':'README.md','content':'LS0tCmxpY2Vuc2U6IG5vcGUKLS0tCg==','encoding':'base64'}}"
                    + " ~ 400",
                "w ~ main ~ TITLE{'key':'lfsFile','value':{'path':'a','algo':'md5','oid':'KNOWN','size':5}} ~ 400",
                "w ~ main ~ TITLE{'key':'lfsFile','value':{'path':'a','algo':'sha256','oid':'EIGHTS','size':5}} ~ 400",
                "w ~ main ~ TITLE{'key':'lfsFile','value':{'path':'a','algo':'sha256','oid':'KNOWN','size':6}} ~ 400",
                "w ~ main ~ TITLE{'key':'lfsFile','value':{'path':'a','oid':'KNOWN','size':5}} ~ 400",
                "w ~ main ~ TITLE{'key':'deletedFile','value':{'path':'none'}} ~ 400",
                "w ~ main ~ TITLE{'key':'deletedFile','value':{'path':'.gitattributes','x':1}} ~ 400",
                "w ~ main ~ TITLE{'key':'renamedFile','value':{'path':'a'}} ~ 400",
                "w ~ main ~ TITLE{'key':'deletedFile','value':{'path':'.gitattributes'},'x':1} ~ 400",
                "w ~ HEAD ~ TITLE ~ 400",
                "w ~ nowhere ~ TITLE ~ 404",
                "o ~ main ~ TITLE ~ 403",
                "r ~ main ~ TITLE ~ 403",
                "r ~ main?create_pr=1 ~ TITLE ~ 403",
                "- ~ main ~ TITLE ~ 401"
            })
    void commits_have_their_form(String who, String revision, String body, int status) throws Exception {
        String lines = filled(body.replace("TITLE", TITLE)).replace('\'', '"').replace('|', '\n');
        String path = filled("/api/models/REPO/commit/" + revision);
        assertThat(send(who, "POST", path, "application/x-ndjson", "", lines).statusCode())
                .isEqualTo(status);
        if (who.equals("w") && status == 400 && revision.equals("main")) {
            assertThat(send(who, "POST", path, API, "", lines).statusCode()).isEqualTo(415);
        }
    }

    @ParameterizedTest(name = "{0} {3}")
    @CsvSource(
            delimiter = '~',
            value = {
                "w ~ LFS ~ API ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':1}]} ~ 406",
                "w ~ API ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':1}]} ~ 415",
                "w ~ LFS ~ LFS ~ {} ~ 400",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[],'x':1} ~ 400",
                "w ~ LFS ~ LFS ~ {'operation':'download','objects':[{'oid':'EIGHTS','size':1}]} ~ 400",
                "w ~ LFS ~ LFS ~ {'operation':'upload','hash_algo':'sha1','objects':[{'oid':'EIGHTS','size':1}]} ~ 409",
                "w ~ LFS ~ LFS ~ {'operation':'upload','transfers':['bus'],'objects':[{'oid':'EIGHTS','size':1}]} ~"
                        + " 400",
                "w ~ LFS ~ LFS ~ {'operation':'upload','ref':{'branch':'main'},'objects':[{'oid':'EIGHTS','size':1}]}"
                        + " ~ 400",
                "o ~ LFS ~ LFS ~ {'operation':'upload','ref':{'name':'main'},'objects':[{'oid':'EIGHTS','size':1}]} ~"
                        + " 403",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[]} ~ 413",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'abc','size':1}]} ~ 422",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':-1}]} ~ 422",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':'1'}]} ~ 422",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':1,'x':1}]} ~ 400",
                "w ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS'}]} ~ 400",
                "- ~ LFS ~ LFS ~ {'operation':'upload','objects':[{'oid':'EIGHTS','size':1}]} ~ 401"
            })
    void objects_are_announced_in_the_form_of_lfs(String who, String type, String accept, String body, int status)
            throws Exception {
        String path = filled("/REPO.git/info/lfs/objects/batch");
        assertThat(send(
                                who,
                                "POST",
                                path,
                                type.equals("LFS") ? LFS : API,
                                accept.equals("LFS") ? LFS : API,
                                filled(body).replace('\'', '"'))
                        .statusCode())
                .isEqualTo(status);
    }

    @Test
    void objects_are_confirmed_by_what_the_store_has() throws Exception {
        String path = filled("/REPO.git/info/lfs/objects/verify");
        assertThat(send("w", "POST", path, LFS, "", "{}").statusCode()).isEqualTo(400);
        assertThat(send("w", "POST", path, LFS, "", filled("{\"oid\":\"EIGHTS\",\"size\":1}"))
                        .statusCode())
                .isEqualTo(404);
        assertThat(send("w", "POST", path, LFS, "", filled("{\"oid\":\"KNOWN\",\"size\":6}"))
                        .statusCode())
                .isEqualTo(404);
        assertThat(send("w", "POST", path, LFS, "", filled("{\"oid\":\"KNOWN\",\"size\":5}"))
                        .statusCode())
                .isEqualTo(200);
        assertThat(send("-", "POST", path, LFS, "", filled("{\"oid\":\"KNOWN\",\"size\":5}"))
                        .statusCode())
                .isEqualTo(401);
    }

    @Test
    void the_store_takes_what_was_signed_and_nothing_else() throws Exception {
        assertThat(send("w", "PUT", small, "", "", "abc").statusCode()).isEqualTo(400);
        assertThat(send("-", "PUT", small, "", "", "CHUNKED").statusCode()).isEqualTo(501);
        assertThat(send("-", "PUT", small, "", "", "").statusCode()).isIn(411, 501);
        assertThat(send("-", "PUT", small, "", "", "abc").statusCode()).isEqualTo(400);
        assertThat(send("-", "PUT", whole, "", "", "abc").statusCode()).isEqualTo(400);
        String none = part.replaceAll("(/mp/|/store/part/)[^/]+", "$1none");
        assertThat(none).isNotEqualTo(part);
        assertThat(send("-", "PUT", none, "", "", "abc").statusCode()).isEqualTo(404);
    }

    @Test
    void parts_are_joined_only_into_the_object_that_was_announced() throws Exception {
        String one = "{\"partNumber\":1,\"etag\":\"" + FakeRepository.hex("MD5", new byte[2_000_000]) + "\"}";
        String two = "{\"partNumber\":2,\"etag\":\"" + FakeRepository.hex("MD5", new byte[500_000]) + "\"}";
        String all = "{\"oid\":\"" + "c".repeat(64) + "\",\"parts\":[%s]}";
        assertThat(send("-", "POST", complete, API, "", all.formatted(one + "," + two))
                        .statusCode())
                .isEqualTo(415);
        assertThat(send("-", "POST", complete, LFS, "", "{}").statusCode()).isEqualTo(400);
        assertThat(send(
                                "-",
                                "POST",
                                complete.replaceAll("signature=[A-Z]+", "signature=X"),
                                LFS,
                                "",
                                all.formatted(one))
                        .statusCode())
                .isEqualTo(403);
        String none = complete.replaceAll("(uploadId=|/lfs/complete/)[^&?]+", "$1none");
        assertThat(send("-", "POST", none, LFS, "", all.formatted(one)).statusCode())
                .isEqualTo(404);
        assertThat(send("-", "POST", complete, LFS, "", all.formatted(one)).statusCode())
                .isEqualTo(400);
        assertThat(send("-", "POST", complete, LFS, "", all.formatted(two + "," + one))
                        .statusCode())
                .isEqualTo(400);
        assertThat(send("-", "POST", complete, LFS, "", all.formatted(one + "," + two.replace("\"}", "0\"}")))
                        .statusCode())
                .isEqualTo(400);
        assertThat(send("-", "POST", complete, LFS, "", all.formatted(one + "," + two.replace("}", ",\"x\":1}")))
                        .statusCode())
                .isEqualTo(400);
        // All is right but the hash that was announced.
        assertThat(send("-", "POST", complete, LFS, "", all.formatted(one + "," + two))
                        .statusCode())
                .isEqualTo(400);
    }

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource({
        "-, POST, /REPO/resolve/main/.gitattributes, 405",
        "-, GET, /REPO/resolve/main/none, 404",
        "-, GET, /REPO/resolve/nowhere/.gitattributes, 404",
        "-, GET, /REPO/resolve/main/.gitattributes, 307",
        "-, GET, /me/none/resolve/main/x, 401",
        "w, GET, /me/none/resolve/main/x, 404",
        "w, GET, /REPO-p/resolve/main/.gitattributes, 307",
        "o, GET, /REPO-p/resolve/main/.gitattributes, 404",
        "-, GET, /api/models/REPO-p/revision/main, 401",
        "n, GET, /api/models/REPO/revision/main, 401",
        "-, GET, /api/models/REPO/tree/nowhere, 404",
        "-, GET, /api/models/REPO/tree/main, 200",
        "-, GET, /api/whoami-v2, 401",
        "-, GET, /api/nothing, 404"
    })
    void files_are_given_to_those_who_may_read_them(String who, String method, String path, int status)
            throws Exception {
        assertThat(send(who, method, filled(path), "", "", "").statusCode()).isEqualTo(status);
    }
}
