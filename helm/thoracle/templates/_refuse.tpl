{{/* What cannot work is refused here, in words, before anything is installed. */}}
{{- define "thoracle.refuse" -}}
{{- $v := .Values -}}
{{- $destinations := $v.config.destinations | default dict -}}
{{- if eq $v.mode "cluster" -}}
  {{- if not (or $v.database.secret $v.trial.enabled) -}}
    {{- fail "mode cluster: several pods share their work in PostgreSQL. Name the Secret with its address in database.secret, or set trial.enabled" -}}
  {{- end -}}
  {{- if not (or $v.config.bucket $v.trial.enabled) -}}
    {{- fail "mode cluster: several pods share the images in an S3 bucket. Name it in config.bucket, or set trial.enabled" -}}
  {{- end -}}
  {{- if gt (int (($v.config.receiver | default dict).processes | default 1)) 1 -}}
    {{- fail "mode cluster: config.receiver.processes is for one host. Here more receivers are more pods: set receiver.replicas" -}}
  {{- end -}}
{{- else if $v.trial.enabled -}}
  {{- fail "trial.enabled: mode single keeps everything on its own volume; trial is for mode cluster" -}}
{{- else if ne (empty $v.database.secret) (empty $v.config.bucket) -}}
  {{- fail "mode single: either both database.secret and config.bucket, or neither (then everything is on the pod's volume)" -}}
{{- end -}}
{{- if and $v.trial.enabled (or $v.database.secret $v.s3.secret $v.config.bucket) -}}
  {{- fail "trial.enabled: it brings a database and a bucket; leave out database.secret, s3.secret and config.bucket" -}}
{{- end -}}
{{- if ($v.config.api | default dict).tls -}}
  {{- fail "config.api.tls: Kubernetes' probes and the Ingress speak to the pods without TLS. Let the Ingress do it" -}}
{{- end -}}
{{- $api := $v.config.api | default dict -}}
{{- $login := $api.login | default dict -}}
{{- if $login.certificates -}}
  {{- fail "config.api.login.certificates: the pods do not speak TLS themselves. Let the Ingress ask for certificates, and name it in config.api.login.proxy" -}}
{{- end -}}
{{- if and $login.openid (not $v.login.openidSecret) -}}
  {{- fail "config.api.login.openid: its client secret is missing; name the Secret in login.openidSecret" -}}
{{- end -}}
{{- if and $v.login.openidSecret (not $login.openid) -}}
  {{- fail "login.openidSecret: there is no config.api.login.openid" -}}
{{- end -}}
{{- if and $login.openid (not $api.url) (not $v.ingress.host) -}}
  {{- fail "config.api.login.openid: the provider sends people back to config.api.url, or to ingress.host. Name one of them" -}}
{{- end -}}
{{- if and $v.s3.ca (not $v.config.bucket) -}}
  {{- fail "s3.ca: it is for config.bucket, which is missing" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (ne $v.dicom.type "ClusterIP") (ne $v.dicom.externalTrafficPolicy "Local") -}}
  {{- fail "dicom.externalTrafficPolicy: with Cluster the sender's address is lost, and the network policy would judge by the node's. Keep Local, or set networkPolicy.enabled to false" -}}
{{- end -}}
{{- range $v.dicom.sourceRanges -}}
  {{- if regexMatch "/0+$" . -}}
    {{- fail (printf "dicom.sourceRanges: %s is everybody. Name the networks that may send" .) -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $v.dicom.type "NodePort") (not $v.networkPolicy.enabled) -}}
  {{- fail "dicom.type: of a NodePort only the network policy applies dicom.sourceRanges. Keep networkPolicy.enabled, or take a LoadBalancer" -}}
{{- end -}}
{{- range $name, $secret := $v.destinationSecrets -}}
  {{- if not (hasKey $destinations $name) -}}
    {{- fail (printf "destinationSecrets.%s: there is no config.destinations.%s" $name $name) -}}
  {{- end -}}
  {{- if ne $name (lower $name) -}}
    {{- fail (printf "destinationSecrets.%s: a destination with a secret needs a name without capitals, since the secret comes as an environment variable" $name) -}}
  {{- end -}}
  {{- if contains "__" $name -}}
    {{- fail (printf "destinationSecrets.%s: a destination with a secret needs a name without __, since the secret comes as an environment variable" $name) -}}
  {{- end -}}
  {{- if ne (index $destinations $name "kind") "dicomweb" -}}
    {{- fail (printf "destinationSecrets.%s: only a destination of kind dicomweb has a password or a token" $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $destination := $destinations -}}
  {{- if and $destination.user (not (hasKey $v.destinationSecrets $name)) -}}
    {{- fail (printf "config.destinations.%s.user: its password is missing; name the Secret in destinationSecrets.%s" $name $name) -}}
  {{- end -}}
{{- end -}}
{{- $inference := $v.config.inference | default dict -}}
{{- if and $v.models.claim $inference.repository -}}
  {{- fail "config.inference.repository: models.claim brings a repository of its own. Leave out one of them" -}}
{{- end -}}
{{- if $v.triton.enabled -}}
  {{- if eq ($inference.backend | default "triton") "onnx" -}}
    {{- fail "config.inference.backend: onnx, but triton.enabled. Leave out one of them" -}}
  {{- end -}}
  {{- if ($inference.triton | default dict).url -}}
    {{- fail "config.inference.triton.url: triton.enabled brings a server of its own. Leave out one of them" -}}
  {{- end -}}
  {{- if and $v.triton.enginesClaim (gt (int $v.triton.replicas) 1) -}}
    {{- fail "triton.enginesClaim: two pods would write the same engine at once. Leave it out, or set triton.replicas to 1" -}}
  {{- end -}}
{{- else if eq ($inference.backend | default "onnx") "triton" -}}
  {{- if not ($inference.triton | default dict).url -}}
    {{- fail "config.inference.backend: triton, but which? Set triton.enabled, or name a server of yours in config.inference.triton.url" -}}
  {{- end -}}
{{- end -}}
{{- if ne $v.autoscaling.by "none" -}}
  {{- if eq $v.mode "single" -}}
    {{- fail "autoscaling.by: one pod with a volume of its own cannot become several; use mode cluster" -}}
  {{- end -}}
  {{- if gt (int $v.autoscaling.min) (int $v.autoscaling.max) -}}
    {{- fail "autoscaling: min is more than max" -}}
  {{- end -}}
  {{- if and (eq $v.autoscaling.by "keda") (not $v.autoscaling.prometheus) -}}
    {{- fail "autoscaling.prometheus: keda needs the address of your Prometheus" -}}
  {{- end -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled $v.monitoring.serviceMonitor.enabled (empty $v.networkPolicy.metricsFrom) -}}
  {{- fail "networkPolicy.metricsFrom: the network policy would keep your Prometheus out; say where it runs" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled $v.ingress.enabled (empty $v.networkPolicy.apiFrom) -}}
  {{- fail "networkPolicy.apiFrom: the network policy would keep the ingress controller out; say where it runs" -}}
{{- end -}}
{{- if $v.ingress.enabled -}}
  {{- if not (and $v.ingress.host $v.ingress.tlsSecret) -}}
    {{- fail "ingress: host and tlsSecret are needed; the API is not shown without TLS" -}}
  {{- end -}}
{{- end -}}
{{- end }}
