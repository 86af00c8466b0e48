"""What cannot work is refused before anything is installed: by the schema, or in words."""

from pathlib import Path

import pytest
from helpers.helm_chart import CHART, helm

pytestmark = pytest.mark.peers

OPENID = "{issuer: 'https://login.example', client_id: t, groups: {g: viewer}}"
EXTERNAL = "mode: cluster\ndatabase: {secret: d}\nconfig: {bucket: {url: 's3://b/p'}}\n"


def refused(folder: Path, *texts: str) -> str:
    """What helm says; later texts win."""
    arguments = []
    for number, text in enumerate(texts):
        file = folder / f"{number}.yaml"
        file.write_text(text)
        arguments += ["--values", str(file)]
    result = helm("template", "t", *arguments)
    assert result.returncode != 0
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("recever: {replicas: 3}", "additional properties 'recever' not allowed"),
        ("receiver: {replica: 3}", "at '/receiver': additional properties 'replica' not allowed"),
        ("receiver: {replicas: 0}", "at '/receiver/replicas'"),
        ("mode: many", "at '/mode'"),
        ("config: {reciever: {}}", "at '/config': additional properties 'reciever' not allowed"),
        ("config: {receiver: {quiet: 3}}", "at '/config/receiver': additional properties 'quiet' not allowed"),
        ("config: {receiver: {quiet_s: 0}}", "at '/config/receiver/quiet_s'"),
        ("config: {receiver: {ae_title: ABCDEFGHIJKLMNOPQ}}", "at '/config/receiver/ae_title'"),
        ("config: {limits: {min_slices: many}}", "at '/config/limits/min_slices'"),
        ("config: {destinations: {a: {kind: ftp, host: h}}}", "at '/config/destinations/a'"),
        ("config: {destinations: {'a b': {ae_title: A, host: h}}}", "at '/config/destinations'"),
        ("dicom: {sourceRanges: [hospital]}", "at '/dicom/sourceRanges/0'"),
        ("dicom: {sourceRanges: []}", "at '/dicom/sourceRanges': minItems"),
        ("dicom: {type: ClusterIP, sourceRanges: []}", "at '/dicom/sourceRanges': minItems"),
        ("dicom: {type: NodePort, sourceRanges: null}", "at '/dicom': missing property 'sourceRanges'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_the_schema(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("config: {database_url: 'postgresql://u:p@h/d'}", "'database_url'"),
        ("config: {destinations: {a: {kind: dicomweb, url: 'https://a', user: u, password: p}}}", "'password'"),
        ("config: {destinations: {a: {kind: dicomweb, url: 'https://a', token: t}}}", "'token'"),
        ("config: {data_dir: /data}", "'data_dir'"),
        ("config: {api: {port: 80}}", "'port'"),
        ("config: {monitoring: {port: 80}}", "'monitoring'"),
        ("config: {receiver: {host: 127.0.0.1}}", "'host'"),
        ("config: {receiver: {port: 104}}", "'port'"),
    ],
)
def test_secrets_and_what_the_chart_decides_have_no_place_in_the_values(tmp_path: Path, text: str, key: str) -> None:
    said = refused(tmp_path, text)
    assert key in said
    assert "not allowed" in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mode: cluster", "several pods share their work in PostgreSQL"),
        ("{mode: cluster, database: {secret: d}}", "several pods share the images in an S3 bucket"),
        ("trial: {enabled: true}", "mode single keeps everything on its own volume"),
        ("database: {secret: d}", "either both database.secret and config.bucket, or neither"),
        (EXTERNAL + "trial: {enabled: true}", "it brings a database and a bucket"),
        ("config: {api: {tls: {certificate: /etc/c.pem}}}", "config.api.tls: Kubernetes' probes"),
        ("s3: {ca: /etc/ca.crt}", "s3.ca: it is for config.bucket"),
        ("dicom: {externalTrafficPolicy: Cluster}", "the sender's address is lost"),
        ("dicom: {sourceRanges: [10.0.0.0/8, 0.0.0.0/0]}", "0.0.0.0/0 is everybody"),
        ("{dicom: {type: NodePort}, networkPolicy: {enabled: false}}", "of a NodePort only the network policy applies"),
        ("destinationSecrets: {pacs: s}", "there is no config.destinations.pacs"),
        (
            "{destinationSecrets: {A: s}, config: {destinations: {A: {kind: dicomweb, url: 'https://a'}}}}",
            "without capitals",
        ),
        (
            "{destinationSecrets: {a__b: s}, config: {destinations: {a__b: {kind: dicomweb, url: 'https://a'}}}}",
            "without __",
        ),
        (
            "{destinationSecrets: {a: s}, config: {destinations: {a: {ae_title: A, host: h}}}}",
            "only a destination of kind dicomweb",
        ),
        ("config: {destinations: {a: {kind: dicomweb, url: 'https://a', user: u}}}", "its password is missing"),
        ("{mode: cluster, trial: {enabled: true}, config: {receiver: {processes: 2}}}", "more receivers are more pods"),
        (EXTERNAL + "autoscaling: {by: keda}", "keda needs the address of your Prometheus"),
        (EXTERNAL + "autoscaling: {by: hpa, min: 9}", "min is more than max"),
        ("autoscaling: {by: hpa}", "one pod with a volume of its own cannot become several"),
        ("monitoring: {serviceMonitor: {enabled: true}}", "the network policy would keep your Prometheus out"),
        ("ingress: {enabled: true}", "the network policy would keep the ingress controller out"),
        ("{ingress: {enabled: true}, networkPolicy: {enabled: false}}", "the API is not shown without TLS"),
        ("config: {api: {login: {certificates: {ris: viewer}}}}", "the pods do not speak TLS themselves"),
        ("config: {api: {login: {openid: " + OPENID + "}}}", "its client secret is missing"),
        ("login: {openidSecret: s}", "there is no config.api.login.openid"),
        (
            "{login: {openidSecret: s}, config: {api: {login: {openid: " + OPENID + "}}}}",
            "the provider sends people back to config.api.url",
        ),
        ("{models: {claim: m}, config: {inference: {repository: /m}}}", "models.claim brings a repository of its own"),
        ("{triton: {enabled: true}, config: {inference: {backend: onnx}}}", "onnx, but triton.enabled"),
        (
            "{triton: {enabled: true}, config: {inference: {triton: {url: 'h:8001'}}}}",
            "triton.enabled brings a server of its own",
        ),
        ("triton: {enabled: true, replicas: 2, enginesClaim: e}", "two pods would write the same engine"),
        ("config: {inference: {backend: triton}}", "triton, but which?"),
    ],
)
def test_what_cannot_work_is_refused_in_words(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(tmp_path, text)


def test_everybody_has_an_address_of_the_other_kind_too(tmp_path: Path) -> None:
    assert "::/0 is everybody" in refused(tmp_path, "dicom: {sourceRanges: ['::/0']}")


def test_every_refusal_is_tried_here() -> None:
    template = (CHART / "templates" / "_refuse.tpl").read_text()
    tried = test_what_cannot_work_is_refused_in_words.pytestmark[0].args[1]
    assert template.count("{{- fail ") == len(tried)
