{{/* thoracle.yaml: the settings of values.yaml, and what the chart decides over them. */}}
{{- define "thoracle.config" -}}
{{- $decided := dict "data_dir" "/var/lib/thoracle" "api" (dict "host" "0.0.0.0" "port" 8080 "probes_port" 8081) -}}
{{- $receiver := dict "host" "0.0.0.0" "port" 11112 -}}
{{- if not (dig "receiver" "callers" dict .Values.config) -}}
{{- $_ := set $receiver "callers" (dict "*" (dict "addresses" .Values.dicom.sourceRanges)) -}}
{{- end -}}
{{- $_ := set $decided "receiver" $receiver -}}
{{- if eq .Values.mode "cluster" -}}
{{- $_ := set $decided "monitoring" (dict "host" "0.0.0.0" "port" 9464) -}}
{{- end -}}
{{- if .Values.trial.enabled -}}
{{- $endpoint := printf "http://%s-s3:8333" (include "thoracle.name" .) -}}
{{- $_ := set $decided "bucket" (dict "url" "s3://thoracle/ct" "endpoint" $endpoint "region" "us-east-1") -}}
{{- end -}}
{{- with .Values.s3.ca -}}
{{- $_ := set $decided "bucket" (dict "tls" (dict "ca" .)) -}}
{{- end -}}
{{- $inference := dict -}}
{{- if .Values.triton.enabled -}}
{{- $url := printf "%s-triton:8001" (include "thoracle.name" .) -}}
{{- $inference = dict "backend" "triton" "triton" (dict "url" $url) -}}
{{- end -}}
{{- $several := or (eq .Values.mode "cluster") .Values.triton.enabled -}}
{{- if .Values.models.claim -}}
{{- /* Named, so that an empty claim ends the workers: they would take the shipped models in its place. */ -}}
{{- $_ := set $inference "repository" "/var/lib/thoracle/models" -}}
{{- else if and $several (not (dig "inference" "repository" "" .Values.config)) -}}
{{- /* What one pod changed, no other would see; the service refuses to change the shipped models. */ -}}
{{- $_ := set $inference "repository" "/opt/thoracle/share/thoracle/models" -}}
{{- end -}}
{{- if $inference -}}
{{- $_ := set $decided "inference" $inference -}}
{{- end -}}
{{- mustMergeOverwrite (deepCopy .Values.config) $decided | toYaml -}}
{{- end }}
